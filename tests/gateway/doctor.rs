//! `portillon doctor` as it is run, against a provider, applications and files with each fault in turn: it finds each one
//! and says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portillon::clock::Clock;
use serde_json::{Value, json};

use crate::harness::upstream::tls::Identity;
use crate::harness::world::Plan;
use crate::harness::{Edit, Reply, Upstream, wire};

const HOST: &str = "paie.localhost";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A site with nothing wrong but what a test has to itself: signed, one host, a folder for its state.
async fn healthy() -> Plan {
    let mut plan = Plan::at(Clock::system()).await;
    plan.site.routes.truncate(1);
    HOST.clone_into(&mut plan.site.route("paie").host);
    plan.site.set("server", "trusted_proxies", r#"["192.0.2.1"]"#);
    let state = plan.folder.path().join("state");
    fs::create_dir(&state).unwrap();
    chmod(&state, 0o700);
    plan
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

async fn run(plan: &Plan, more: &'static [&str]) -> Output {
    let file = plan.folder.path().join("portillon.toml");
    fs::write(&file, plan.site.to_toml(plan.folder.path())).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portillon"));
    command.args(["doctor", "--config"]).arg(&file).args(more).env_remove("CREDENTIALS_DIRECTORY");
    // The provider and the applications answer from this very runtime.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// The findings, as code and level.
async fn findings(plan: &Plan) -> Vec<(String, String)> {
    let output = run(plan, &["--json"]).await;
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no JSON, but {}", String::from_utf8_lossy(&output.stderr)));
    let findings = told["findings"].as_array().unwrap();
    let faults = findings.iter().filter(|finding| finding["level"] == "fault").count();
    assert_eq!(told["faults"], json!(faults));
    assert_eq!(output.status.code(), Some(i32::from(faults > 0)));
    let member = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    for finding in findings {
        assert_eq!(member(finding, "help").is_empty(), finding["level"] == "fine", "{finding}");
        assert!(!member(finding, "about").is_empty() && !member(finding, "message").is_empty(), "{finding}");
    }
    findings.iter().map(|finding| (member(finding, "code"), member(finding, "level"))).collect()
}

#[track_caller]
fn has(found: &[(String, String)], level: &str, code: &str) {
    let expected = (code.to_owned(), level.to_owned());
    assert!(found.contains(&expected), "{level} {code} is not among {found:?}");
    let manual = include_str!("../../docs/doctor.md");
    assert!(manual.contains(&format!("`{code}`")), "docs/doctor.md does not tell of {code}");
}

/// Finds this, and no fault beside it.
async fn finds(plan: &Plan, level: &str, code: &str) {
    let found = findings(plan).await;
    has(&found, level, code);
    let others: Vec<_> = found.iter().filter(|(other, level)| level == "fault" && other != code).collect();
    assert!(others.is_empty(), "beside {code}: {others:?}");
}

fn dated(offset: i64) -> Reply {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = UNIX_EPOCH + Duration::from_secs(now.checked_add_signed(offset).unwrap());
    Reply::Raw(wire::response("503 Service Unavailable", &[("Date", &httpdate::fmt_http_date(at))], ""))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_where_nothing_is() {
    let plan = healthy().await;
    let found = findings(&plan).await;
    assert!(found.iter().all(|(_, level)| level == "fine"), "{found:?}");
    for code in ["client", "discovery", "keys", "state_dir", "upstream"] {
        has(&found, "fine", code);
    }
    let output = run(&plan, &[]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("https://paie.localhost/.portillon/callback"), "{told}");
    assert!(told.contains("https://paie.localhost/.portillon/signed-out"), "{told}");
    assert!(told.ends_with("no faults, 0 to consider\n"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_the_provider() {
    type Fault = (&'static str, &'static str, fn(&mut crate::harness::provider::Script));
    let faults: [Fault; 15] = [
        ("fault", "discovery_failed", |script| script.discovery = Reply::status("500 No", "text/plain", "")),
        ("fault", "issuer_mismatch", |script| script.metadata = vec![Edit::set("issuer", "https://other.example")]),
        ("fault", "metadata_refused", |script| {
            script.metadata = vec![Edit::set("token_endpoint", "https://other.example/token")];
        }),
        ("fault", "jwks_malformed", |script| script.jwks = Reply::json("[]")),
        ("fault", "algorithm_without_key", |script| script.jwks = Reply::json(r#"{"keys":[]}"#)),
        ("fault", "id_token_algorithm", |script| {
            script.metadata = vec![Edit::set("id_token_signing_alg_values_supported", json!(["ES256"]))];
        }),
        ("fault", "userinfo_algorithm", |script| {
            script.metadata = vec![Edit::set("userinfo_signing_alg_values_supported", json!(["ES256"]))];
        }),
        ("fault", "token_endpoint_auth_method", |script| {
            script.metadata = vec![Edit::set("token_endpoint_auth_methods_supported", json!(["client_secret_basic"]))];
        }),
        ("fault", "no_pkce", |script| {
            script.metadata = vec![Edit::set("code_challenge_methods_supported", json!(["plain"]))];
        }),
        ("advice", "scope_unknown", |script| {
            script.metadata = vec![Edit::set("scopes_supported", json!(["openid"]))];
        }),
        ("advice", "no_logout", |script| script.metadata = vec![Edit::Remove("end_session_endpoint")]),
        ("fault", "client_refused", |script| {
            script.token = Reply::status("401 Unauthorized", "application/json", r#"{"error":"invalid_client"}"#);
        }),
        ("fault", "client_unauthorized", |script| {
            script.token = Reply::status("400 Bad Request", "application/json", r#"{"error":"unauthorized_client"}"#);
        }),
        ("advice", "token_endpoint", |script| script.token = Reply::Hangup),
        ("fault", "discovery_failed", |script| script.discovery = Reply::Hangup),
    ];
    let plan = healthy().await;
    for (level, code, fault) in faults {
        plan.provider.misbehave(fault);
        finds(&plan, level, code).await;
        plan.provider.behave();
    }
    let mut plan = plan;
    plan.site.set("provider", "acr_values", r#"["eidas2"]"#);
    plan.provider.misbehave(|script| script.metadata = vec![Edit::set("acr_values_supported", json!(["eidas1"]))]);
    finds(&plan, "fault", "acr_unknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong() {
    let plan = healthy().await;
    for (offset, level, code) in
        [(-3600, "fault", "clock_wrong"), (3600, "fault", "clock_wrong"), (30, "advice", "clock_drifts")]
    {
        plan.provider.misbehave(|script| script.discovery = dated(offset));
        has(&findings(&plan).await, level, code);
    }
    plan.provider.misbehave(|script| script.discovery = dated(0));
    has(&findings(&plan).await, "fine", "clock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_out_of_reach() {
    let mut plan = healthy().await;
    let honest = plan.site.issuer.clone();
    for (issuer, code) in
        [("http://127.0.0.1:1/api", "provider_unreachable"), ("https://openid.invalid", "provider_unresolved")]
    {
        plan.site.issuer = issuer.to_owned();
        finds(&plan, "fault", code).await;
    }
    plan.site.issuer = honest;
    for (proxy, code) in
        [("http://127.0.0.1:1", "proxy_unreachable"), ("http://proxy.invalid:3128", "proxy_unresolved")]
    {
        plan.site.set("provider", "proxy", &format!("{proxy:?}"));
        finds(&plan, "fault", code).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_only_the_unit_can_read() {
    let mut plan = healthy().await;
    plan.site.set("provider", "client_secret", r#"{ credential = "client_secret" }"#);
    finds(&plan, "advice", "secret_unread").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_an_application() {
    let mut plan = healthy().await;
    let honest = plan.site.route("paie").upstreams.clone();
    let plain = honest[0].replace("http://", "https://");
    for (upstream, code) in [
        ("http://127.0.0.1:1", "upstream_unreachable"),
        ("http://application.invalid", "upstream_unresolved"),
        (plain.as_str(), "upstream_tls"),
    ] {
        plan.site.route("paie").upstreams = vec![upstream.to_owned()];
        finds(&plan, "fault", code).await;
    }
    plan.site.set("server", "listen", r#"["127.0.0.1:18443"]"#);
    plan.site.route("paie").upstreams = vec!["http://localhost:18443".to_owned()];
    finds(&plan, "fault", "upstream_is_gateway").await;
    plan.site.route("paie").upstreams = honest;
    plan.site.route("paie").sign = Vec::new();
    finds(&plan, "advice", "unsigned").await;
}

/// A site whose application has this certificate, and whether its authority is named.
async fn with_upstream(identity: Identity, named: bool) -> Plan {
    let mut plan = healthy().await;
    let authority = plan.folder.path().join("authority.pem");
    identity.write_authority(&authority);
    let upstream = Upstream::start_tls(identity).await;
    let route = plan.site.route("paie");
    route.upstreams = vec![upstream.origin()];
    if named {
        route.line(format!("upstream_ca_file = {authority:?}"));
    }
    plan.others.push(upstream);
    plan
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_an_applications_certificate() {
    let names = &["127.0.0.1"];
    finds(&with_upstream(Identity::new(names), true).await, "fine", "upstream_certificate").await;
    finds(&with_upstream(Identity::new(names), false).await, "fault", "upstream_certificate_issuer").await;
    finds(&with_upstream(Identity::new(&["other.example"]), true).await, "fault", "upstream_certificate_name").await;
    let ended = Identity::until(names, now() - DAY);
    finds(&with_upstream(ended, true).await, "fault", "upstream_certificate_expired").await;
    let ending = Identity::until(names, now() + 5 * DAY);
    finds(&with_upstream(ending, true).await, "advice", "upstream_certificate_expires").await;
}

/// A site that serves with this certificate.
async fn with_listener(identity: &Identity) -> Plan {
    let mut plan = healthy().await;
    let entry = identity.write(plan.folder.path());
    plan.site.set("server.tls", "certificates", &format!("[{entry}]"));
    plan
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_certificate_of_our_own() {
    let names = &[HOST];
    let plan = with_listener(&Identity::new(names)).await;
    finds(&plan, "fine", "certificate").await;
    finds(&plan, "advice", "certificate_alone").await;
    chmod(&plan.folder.path().join("key.pem"), 0o644);
    finds(&plan, "fault", "certificate_key_open").await;
    finds(&with_listener(&Identity::new(&["other.example"])).await, "fault", "certificate_name").await;
    finds(&with_listener(&Identity::until(names, now() - DAY)).await, "fault", "certificate_expired").await;
    finds(&with_listener(&Identity::until(names, now() + 5 * DAY)).await, "advice", "certificate_expires").await;

    let plan = with_listener(&Identity::new(names)).await;
    let file = plan.folder.path().join("cert.pem");
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "somebody else");
    let somebody = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    fs::write(&file, fs::read_to_string(&file).unwrap() + &somebody).unwrap();
    finds(&plan, "fault", "certificate_order").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_folder() {
    let mut plan = healthy().await;
    let (state, keys) = (plan.folder.path().join("state"), plan.folder.path().join("keys"));
    chmod(&state, 0o755);
    finds(&plan, "fault", "state_dir_open").await;
    fs::remove_dir(&state).unwrap();
    finds(&plan, "advice", "state_dir_missing").await;
    fs::write(&state, "a file").unwrap();
    chmod(&state, 0o600);
    finds(&plan, "fault", "state_dir_unwritable").await;
    plan.site.set("server", "state_dir", &format!("{:?}", state.join("inside")));
    finds(&plan, "fault", "state_dir_unreadable").await;

    let mut plan = healthy().await;
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("odd"), "no key").unwrap();
    plan.site.set("server", "keys_dir", &format!("{keys:?}"));
    finds(&plan, "fault", "keys_unusable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_an_audit_trail() {
    let mut plan = healthy().await;
    let (state, log) = (plan.folder.path().join("state"), plan.folder.path().join("log"));
    let file = log.join("audit.log");
    plan.site.set("audit", "to", &format!("\"file:{}\"", file.display()));
    finds(&plan, "fault", "audit_folder_missing").await;
    fs::create_dir(&log).unwrap();
    finds(&plan, "fine", "audit").await;
    assert_eq!(fs::read_dir(&log).unwrap().count(), 0, "nothing is left there");
    fs::write(&file, "a line\n").unwrap();
    finds(&plan, "fine", "audit").await;
    // Root may write anything: then the gateway is somebody else.
    chmod(&file, 0o400);
    let _ = std::os::unix::fs::chown(&state, Some(65534), None);
    finds(&plan, "fault", "audit_unwritable").await;
    chmod(&file, 0o666);
    finds(&plan, "fine", "audit").await;
    assert_eq!(fs::read_to_string(&file).unwrap(), "a line\n");

    let socket = log.join("socket");
    plan.site.set("audit", "to", &format!("\"syslog:{}\"", socket.display()));
    finds(&plan, "fault", "audit_syslog").await;
    let _listening = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    finds(&plan, "fine", "audit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_out_of_reach() {
    let mut plan = healthy().await;
    plan.site.set("store", "kind", "\"redis\"").set("store", "url", "\"redis://127.0.0.1:1\"");
    finds(&plan, "fault", "store_unreachable").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_that_everybody_makes_once() {
    for (section, key, value, level, code) in [
        ("server", "trusted_proxies", r#"["0.0.0.0/0"]"#, "fault", "trusts_everyone"),
        ("server", "trusted_proxies", "[]", "advice", "trusts_nobody"),
        ("server", "trusted_proxies", r#"["unix"]"#, "advice", "trusts_no_socket"),
        ("session", "idle", "\"5m\"", "advice", "idle_short"),
        ("session", "absolute", "\"24h\"", "advice", "absolute_long"),
    ] {
        let mut plan = healthy().await;
        plan.site.set(section, key, value);
        finds(&plan, level, code).await;
    }
    let mut plan = healthy().await;
    "paie.invalid".clone_into(&mut plan.site.route("paie").host);
    finds(&plan, "advice", "host_unresolved").await;
}
