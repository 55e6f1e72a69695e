//! The example and the code say the same; what a configuration becomes; and no text makes the reader stumble.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::keys::{self, Table};
use super::*;

const EXAMPLE: &str = include_str!("../../config.example.toml");
const MINIMAL: &str = r#"
[provider]
environment = "integration"
client_id = "00000000-0000-0000-0000-000000000000"
client_secret = { value = "hunter2" }

[[route]]
name = "conges"
host = "conges.intranet.example.gouv.fr"
upstream = "http://10.0.0.11:8080"
"#;

fn read(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    parse(Path::new("portillon.toml"), text, Purpose::Check)
}

fn config(text: &str) -> Config {
    read(text).unwrap_or_else(|diagnostics| panic!("{}", rendered(&diagnostics))).config
}

fn rendered(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.render(false) + "\n").collect()
}

/// Everything that is told of a configuration.
fn told(text: &str) -> String {
    rendered(&read(text).map_or_else(|diagnostics| diagnostics, |loaded| loaded.warnings))
}

/// [`MINIMAL`] with `provider` added to its provider, and `route` to its route.
fn with(provider: &str, route: &str) -> String {
    MINIMAL.replace("\n[[route]]", &format!("{provider}\n[[route]]")) + route
}

/// The keys of each table of the example, those behind `#` too.
fn example_keys() -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in EXAMPLE.lines().map(|line| line.trim_start().trim_start_matches("# ")) {
        if line.starts_with('[') && line.ends_with(']') {
            table = line.to_owned();
            tables.entry(table.clone()).or_default();
        } else if let Some((key, _)) = line.split_once(" = ") {
            tables.entry(table.clone()).or_default().insert(key.to_owned());
        }
    }
    tables
}

#[test]
fn the_example_has_every_key() {
    let example = example_keys();
    let is_header = |table: &Table, key: &str| {
        let path = table.name.trim_matches(['[', ']']);
        [format!("[{path}.{key}]"), format!("[[{path}.{key}]]")].iter().any(|header| example.contains_key(header))
    };
    for table in [
        &keys::SERVER,
        &keys::LIMITS,
        &keys::TLS,
        &keys::LISTENER,
        &keys::ADMIN,
        &keys::LOGIN,
        &keys::PROVIDER,
        &keys::SESSION,
        &keys::STORE,
        &keys::IDENTITY,
        &keys::SIGNING,
        &keys::LOG,
        &keys::ROUTE,
        &keys::PORTAL,
        &keys::PUBLIC,
        &keys::DENY,
        &keys::ALLOW,
    ] {
        let written = &example[table.name];
        // For [provider] that is `host` of [login]: written there, it is told so.
        let written_here = |key: &str| (table.name, key) != (keys::PROVIDER.name, "login_host");
        for key in table.keys.iter().filter(|key| written_here(key)) {
            assert!(written.contains(*key) || is_header(table, key), "`{key}` of {} is in the example", table.name);
        }
    }
    for key in keys::ROOT.keys {
        let is_written = |table: &String| {
            let path = table.trim_matches(['[', ']']);
            path == *key || path.starts_with(&format!("{key}."))
        };
        assert!(example.keys().any(is_written), "[{key}] is in the example");
    }
    let allow = &example[keys::ALLOW.name];
    for condition in vocabulary::CONDITIONS {
        assert!(allow.contains(condition), "`{condition}` is in the example");
    }
    for key in [keys::SECRET.keys, keys::CERTIFICATE.keys, keys::TIME.keys, keys::VALUES.keys].concat() {
        assert!(EXAMPLE.contains(&format!(" {key} = ")), "`{key}` is in the example");
    }
}

#[test]
fn the_example_shows_the_defaults() {
    let (example, minimal) = (config(EXAMPLE), config(MINIMAL));
    let shared = |config: &Config| {
        let Config { server, admin, session, header_prefix, encoding, signing, log, .. } = config;
        let provider = &config.providers[0];
        let paths = (&provider.redirect_path, &provider.post_logout_redirect_path);
        format!("{server:#?}{admin:#?}{session:#?}{header_prefix:#?}{encoding:#?}{signing:#?}{log:#?}{paths:#?}")
    };
    assert_eq!(shared(&example), shared(&minimal));
    assert_eq!(format!("{:#?}", example.providers[0]), format!("{:#?}", minimal.providers[0]));
    let route = |config: &Config| {
        let route = config.routes[0].clone();
        let origin = BlockOrigin { line: 0, ..route.origin };
        format!("{:#?}", RouteConfig { origin, ..route })
    };
    assert_eq!(route(&example), route(&minimal));
}

#[test]
fn a_route_becomes_what_it_says() {
    let config = config(EXAMPLE);
    let route = &config.routes[1];
    assert_eq!(route.upstreams.len(), 2);
    assert_eq!(route.signature_algorithm, signature::Algorithm::EcdsaP256Sha256);
    assert_eq!(route.headers, [(HeaderName::from_static("remote-user"), "email".to_owned())]);
    assert_eq!(route.claims.as_ref().map(BTreeSet::len), Some(6));
    assert_eq!(route.logout_paths[1].path, "/doku.php");
    assert_eq!(route.logout_paths[1].query.as_deref(), Some("do=logout"));
    assert_eq!(route.rules.allow.iter().map(|block| block.conditions.len()).collect::<Vec<_>>(), [2, 8]);
    let line = route.rules.deny[1].origin.line;
    assert_eq!(EXAMPLE.lines().nth(line - 1).map(str::trim), Some("[[route.deny]]"));
    assert_eq!(route.rules.deny[1].origin.to_string(), format!("portillon.toml:{line}"));
    let line = route.rules.deny[0].origin.line;
    assert_eq!(EXAMPLE.lines().nth(line - 1), Some("[[rules.ouvert.deny]]"), "the blocks of a set come first");
    assert_eq!(config.routes[2].audience, "archives");
    assert!(config.routes[2].sign_request && !config.routes[2].sign_assertion);
}

#[test]
fn a_credential_that_cannot_be_read_stops_a_run() {
    if std::env::var_os("CREDENTIALS_DIRECTORY").is_some() {
        return;
    }
    let text = MINIMAL.replace("value = \"hunter2\"", "credential = \"client_secret\"");
    assert!(read(&text).is_ok());
    let errors = parse(Path::new("portillon.toml"), &text, Purpose::Run).unwrap_err();
    assert!(rendered(&errors).contains("CREDENTIALS_DIRECTORY is not set"));
}

#[test]
fn secrets_are_not_in_debug() {
    let key = "hunter2 hunter2 hunter2 hunter2 hunter2";
    let route = format!("signature_algorithm = \"hmac-sha256\"\nhmac_key = {{ value = \"{key}\" }}");
    let loaded = read(&with("", &route)).unwrap();
    assert_eq!(loaded.config.routes[0].hmac_key.as_ref().map(|key| key.expose().len()), Some(key.len()));
    assert!(!format!("{:?}", loaded.config).contains("hunter2"));
    assert!(!rendered(&loaded.warnings).contains("hunter2"));
}

#[test]
fn a_diagnostic_does_not_carry_the_file_into_debug() {
    let warnings = read(MINIMAL).unwrap().warnings;
    assert!(!warnings.is_empty() && !format!("{warnings:?}").contains("hunter2"));
}

#[test]
fn with_preset_openid_any_name_is_a_claim() {
    let provider = "preset = \"openid\"\nissuer = \"http://localhost:7000\"\n";
    let text = with(provider, "[[route.allow]]\nname = \"Paul\"\ndepartment = [\"DSI\"]\n");
    let config = config(&text.replace("environment = \"integration\"", ""));
    assert_eq!(config.providers[0].settings.scope, ["openid"]);
    assert_eq!(config.providers[0].settings.required, ["sub"]);
    assert_eq!(config.routes[0].rules.allow[0].conditions.len(), 2);
    let slipped = text.replace("department", "contact");
    assert!(told(&slipped).contains("`contact` is a key of [[route]]: move it above [[route.allow]] at line"));
    assert!(told(&text).contains("`issuer` and `environment` name two providers"));
}

#[test]
fn paths_follow_the_prefix_and_the_state() {
    let text = format!("[server]\nprefix = \"/auth/\"\nstate_dir = \"state\"\n{MINIMAL}");
    let config = parse(Path::new("/etc/portillon/portillon.toml"), &text, Purpose::Check).unwrap().config;
    assert_eq!(config.providers[0].redirect_path, "/auth/callback");
    assert_eq!(config.server.keys_dir, Path::new("/etc/portillon/state/keys"));
    assert!(told(&format!("{text}path = \"/auth/x\"")).contains("`/auth/x` is inside the prefix `/auth/`"));
    assert!(told(&format!("{text}path = \"/auth\"")).contains("`/auth` is inside the prefix `/auth/`"));
    assert_eq!(told(&format!("{text}path = \"/authors\"")).matches("error").count(), 0);
}

#[test]
fn listeners_say_whether_they_speak_tls() {
    let listeners = |server: &str| config(&format!("[server]\n{server}\n{MINIMAL}")).server.listeners;
    let long = "[[server.listener]]\naddress = \"unix:/run/portillon.sock\"\nmode = 0o600";
    let unix = ListenerConfig { address: Address::Unix("/run/portillon.sock".into()), tls: false, mode: Some(0o600) };
    assert_eq!(listeners(long), [unix]);
    assert_eq!(listeners("listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]").len(), 2);
    for (server, error) in [
        ("listen = [\"127.0.0.1:80\", \"127.0.0.1:80\"]", "listens twice on 127.0.0.1:80"),
        ("[[server.listener]]\naddress = \"127.0.0.1:80\"\ntls = true", "this listener has no certificate"),
        ("[[server.listener]]\naddress = \"127.0.0.1:80\"\nmode = \"0660\"", "`mode` is for unix sockets"),
        ("[[server.listener]]\naddress = \"unix:/x\"\nmode = 660", "a file mode in octal"),
        ("[server.listener]\naddress = \"unix:/x\"", "expected a list of tables: write [[server.listener]]"),
        ("[server.tls]\ncertificates = []", "`certificates` names no certificate"),
    ] {
        assert!(told(&format!("[server]\n{server}\n{MINIMAL}")).contains(error), "{error}");
    }
}

#[test]
fn trusted_proxies_are_networks_addresses_and_unix() {
    let text = format!("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\", \"unix\"]\n{MINIMAL}");
    let networks = ["10.0.0.0/8", "::1/128"].map(|network| TrustedProxy::Network(network.parse().unwrap()));
    assert_eq!(config(&text).server.trusted_proxies, [networks[0], networks[1], TrustedProxy::Unix]);
}

#[test]
fn issuers_are_urls_over_https() {
    let with_issuer =
        |issuer: &str| told(&MINIMAL.replace("environment = \"integration\"", &format!("issuer = {issuer:?}")));
    for right in
        ["https://a.fr/api/v2", "https://a.fr/", "http://127.0.0.1:7000/api/v2", "http://[::1]", "http://localhost"]
    {
        assert!(!with_issuer(right).contains("error"), "{right}");
    }
    for wrong in ["http://a.fr", "a.fr", "https://a.fr/?x", "https://a.fr/#x", "https://a@b.fr", "ftp://a.fr", ""] {
        assert!(with_issuer(wrong).contains("invalid `issuer`"), "{wrong}");
    }
    let production = oidc::Environment::Production.issuer();
    let local = MINIMAL.replace("conges.intranet.example.gouv.fr", "localhost");
    let local = local.replace("environment = \"integration\"", &format!("issuer = {production:?}"));
    assert!(told(&local).contains("`localhost` cannot be a host in production"));
}

#[test]
fn a_claim_that_never_comes_is_warned_of() {
    let never = |provider: &str, route: &str| told(&with(provider, route)).contains("`siren` will never be there");
    assert!(!never("", "claims = [\"siren\"]"), "an application receives it by way of the SIRET");
    assert!(never("scope = [\"openid\"]", "claims = [\"siren\"]"));
    let deny = "[[route.deny]]\nsiren = \"110046018\"\n";
    assert!(!never("", deny), "it is derived from the SIRET at login");
    assert!(never("scope = [\"openid\"]", deny) && !never("scope = [\"openid\", \"siren\"]", deny));
    let required = format!("[identity]\nrequired = [\"sub\", \"roles\"]\n{MINIMAL}");
    assert!(told(&required).contains("the claim `roles` will never be there"));
}

#[test]
fn a_key_that_is_there_twice_does_not_hide_another() {
    let told = told(
        "[provider]\nclient_id = \"a\"\nclient_id = \"b\"\n[session]\nidle = \"1m\"\nidle = \"2m\"\nabsolute = \n",
    );
    assert_eq!(told.matches("duplicate key").count(), 2, "{told}");
    assert_eq!(told.matches("error").count(), 3, "{told}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_stumble(text in "[a-z\\[\\]={}\"'.,\n #é0-9]{0,200}") {
        prop_assert!(!told(&text).contains("hunter2"));
    }

    #[test]
    fn no_damage_makes_the_reader_stumble(start in 0..EXAMPLE.len(), length in 0..200_usize, put in "[\\[\\]={}\"'\n é]{0,3}") {
        let text = EXAMPLE.replace("{ credential = \"client_secret\" }", "{ value = \"hunter2\" }");
        let start = text.floor_char_boundary(start);
        let end = text.floor_char_boundary(start + length);
        let damaged = format!("{}{put}{}", &text[..start], &text[end..]);
        let _ = told(&damaged);
    }
}
