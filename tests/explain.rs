//! `portillon explain`, `routes` and `test` from the outside: what they print and how they end, for the configuration in
//! `explain`.
//!
//! What is expected stands beside it, in `NAME.txt`. After a change that is meant, run the tests with `UPDATE=1` and read
//! what changed.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const PAGE: &str = "https://paie.example.gouv.fr/bulletins";
const AT: [&str; 2] = ["--at", "2026-01-31T18:30"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain")
}

fn portillon(command: &str, args: &[&str]) -> Output {
    let mut portillon = Command::new(env!("CARGO_BIN_EXE_portillon"));
    portillon.arg(command).args(["--config", "portillon.toml"]).args(args);
    portillon.current_dir(folder()).env_remove("CREDENTIALS_DIRECTORY").output().expect("the binary runs")
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let code = output.status.code().expect("an exit code");
    format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
}

/// Compares what a command tells with what is written beside, and gives it back.
fn expect(name: &str, command: &str, args: &[&str]) -> String {
    let (told, golden) = (told(&portillon(command, args)), folder().join(format!("{name}.txt")));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &told).expect("the golden file is writable");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert!(told == expected, "{name}: expected\n{expected}\nbut it tells\n{told}");
    told
}

fn explain(args: &[&str]) -> Output {
    portillon("explain", &[args, &AT].concat())
}

/// What `explain --json` tells of `agent`, and its exit code.
fn explained(request: [&str; 2], agent: &[&str]) -> (Value, i32) {
    let output = explain(&[&request, agent, &["--json"]].concat());
    (serde_json::from_slice(&output.stdout).expect("JSON"), output.status.code().expect("an exit code"))
}

#[test]
fn a_refusal_is_explained_condition_by_condition() {
    let told = expect("refused", "explain", &[&["GET", PAGE, "--agent", "paul.json"][..], &AT].concat());
    assert!(told.starts_with("exit 1\n"));
    for said in [
        "mfa = true: acr is one of eidas0-mfa",
        "found \"eidas1\"",
        "differs from \"paul.martin@example.gouv.fr\" in capitals only",
        "portillon.toml:27",
        "would be sent to step up to acr eidas0-mfa or eidas1-mfa or eidas2 or eidas3",
        "Réservé aux agents du ministère, avec double authentification.",
        "support-paie@example.gouv.fr",
    ] {
        assert!(told.contains(said), "{said}: {told}");
    }
}

#[test]
fn an_admission_shows_what_the_application_gets() {
    let args = ["GET", PAGE, "--agent", "paul.json", "--claim", "acr=eidas2", "--client", "10.1.2.3"];
    let told = expect("allowed", "explain", &[&args[..], &AT].concat());
    assert!(told.starts_with("exit 0\n"));
    for said in
        ["X-Agent-Usual-Name: Lef%C3%A8vre", "Remote-User: Paul.Martin@", "\"@method\"", "http://10.0.0.12:8080"]
    {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(!told.contains("X-Agent-Uid"), "the application does not receive it: {told}");
}

#[test]
fn without_an_agent_there_is_a_login_unless_the_path_is_public() {
    assert!(expect("anonymous", "explain", &[&["GET", PAGE, "--anonymous"][..], &AT].concat()).starts_with("exit 1\n"));
    let style = "https://paie.example.gouv.fr/static/style.css";
    assert!(expect("public", "explain", &[&["GET", style, "--anonymous"][..], &AT].concat()).starts_with("exit 0\n"));
}

#[test]
fn programs_get_json() {
    let told = expect("json", "explain", &[&["GET", PAGE, "--agent", "paul.json", "--json"][..], &AT].concat());
    assert!(told.starts_with("exit 1\n"));
    let (json, code) = explained(["GET", PAGE], &["--claim", "siret=13002526500013", "--claim", "acr=eidas2"]);
    assert_eq!((&json["outcome"], &json["allowed"], code), (&json!("allow"), &json!(true), 0));
    assert_eq!(json["route"]["name"], "paie");
    assert_eq!(json["missing_claims"], json!(["sub", "given_name", "usual_name", "email", "uid"]));
}

#[test]
fn every_answer_has_its_exit_code() {
    let anonymous = &["--anonymous"][..];
    for (method, url, agent, outcome, code) in [
        ("POST", "https://paie.example.gouv.fr/static/x", anonymous, "login", 1),
        ("GET", "https://PAIE.example.gouv.fr.:443/frais", &["--claim", "sub=x"], "allow", 0),
        ("GET", "https://paie.example.gouv.fr/frais/../x", &["--claim", "sub=x"], "ambiguous_path", 1),
        ("GET", "https://paie.example.gouv.fr:8443/", &["--claim", "sub=x"], "unknown_site", 1),
        ("GET", "https://paie.example.gouv.fr/.portillon/logout", anonymous, "own", 0),
        ("GET", PAGE, &["--claim", "custom={\"a\":1}"], "refuse", 1),
        ("GET", PAGE, &["--claim", "siret=13002526500013"], "step_up", 1),
        // A rule denies by it: nobody can say what it would have denied.
        ("GET", PAGE, &["--claim", "belonging_population=["], "refuse", 1),
    ] {
        let (json, exit) = explained([method, url], agent);
        assert_eq!((json["outcome"].as_str(), exit), (Some(outcome), code), "{method} {url} {agent:?}: {json}");
    }
}

#[test]
fn a_claim_that_denies_refuses_the_login_where_it_is_malformed() {
    let agent = ["--claim", "siret=13002526500013", "--claim", "acr=eidas2", "--claim", "belonging_population={}"];
    let output = explain(&[&["GET", PAGE][..], &agent].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("no login of theirs would succeed"), "{}", told(&output));
}

#[test]
fn what_cannot_be_understood_exits_with_2() {
    for args in [
        &["GET", PAGE][..],
        &["GET", "/bulletins", "--anonymous"],
        &["GET", PAGE, "--agent", "absent.json"],
        &["GET", PAGE, "--agent", "sirets.txt"],
        &["GET", PAGE, "--claim", "siret"],
        &["GET", PAGE, "--anonymous", "--claim", "siret=1"],
        &["GET", PAGE, "--anonymous", "--client", "10.0.0.0/8"],
    ] {
        assert_eq!(portillon("explain", args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(portillon("explain", &["GET", PAGE, "--anonymous", "--at", "noon"]).status.code(), Some(2));
    let other = Command::new(env!("CARGO_BIN_EXE_portillon"))
        .args(["explain", "GET", PAGE, "--anonymous", "--config", "absent.toml"])
        .output();
    assert_eq!(other.expect("the binary runs").status.code(), Some(78));
}

#[test]
fn an_agent_comes_from_the_standard_input_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portillon"))
        .args(["explain", "GET", PAGE, "--agent", "-", "--config", "portillon.toml"])
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(b"{\"siret\":\"13002526500013\",\"acr\":\"eidas2\"}").expect("it reads");
    drop(input);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn how_recent_a_login_must_be_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("portillon.toml");
    let route =
        "[[route]]\nname = \"wiki\"\nhost = \"wiki.example.fr\"\nupstream = \"http://10.0.0.1\"\nmax_age = \"1h30m\"\n";
    let provider = "[provider]\npreset = \"openid\"\nissuer = \"https://sso.example.fr\"\nclient_id = \"x\"\n\
                    client_secret = { credential = \"x\" }\n";
    fs::write(&file, format!("{provider}{route}")).expect("the folder is writable");
    let config = file.to_str().expect("a path");
    let text = |command: &str, args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_portillon")).arg(command).args(args).args(["--config", config]).output();
        String::from_utf8(output.expect("the binary runs").stdout).expect("text")
    };
    let request = ["GET", "https://wiki.example.fr/", "--claim", "sub=x"];
    let told = text("explain", &request);
    assert!(told.contains("whoever authenticated more than 1h30m ago goes back to the provider first"), "{told}");
    assert!(text("explain", &[&request[..], &["--json"]].concat()).contains("\"max_age\": 5400"));
    assert!(text("routes", &[]).contains("every agent, max_age 5400s"), "{}", text("routes", &[]));
}

#[test]
fn routes_are_a_table() {
    expect("routes", "routes", &[]);
    let output = portillon("routes", &["--json"]);
    let routes: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(routes[0]["name"], "frais");
    assert_eq!(routes[1]["deny"], 1);
}

#[test]
fn cases_that_end_as_expected_pass() {
    assert!(expect("cases", "test", &["cases.toml"]).starts_with("exit 0\n"));
}

#[test]
fn cases_that_end_otherwise_are_explained() {
    let told = expect("cases_failing", "test", &["cases_failing.toml"]);
    assert!(told.starts_with("exit 1\n") && told.contains("expected allow, found step_up"), "{told}");
}

#[test]
fn cases_that_cannot_be_read_are_a_configuration_error() {
    assert!(expect("cases_wrong", "test", &["cases_wrong.toml"]).starts_with("exit 78\n"));
}
