//! `portillon check` from the outside: what it prints and how it ends, for the configurations in `config/cases`.
//!
//! Beside each `NAME.toml` stands `NAME.txt`, with the exit code and both outputs. After a change that is meant, run
//! the tests with `UPDATE=1` and read what changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "config/example.rs"]
mod example;

/// `portillon check`, run where its configuration is, so that paths are the same everywhere.
fn check(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portillon"))
        .args(["check", "--config"])
        .arg(file.file_name().expect("a file"))
        .current_dir(file.parent().expect("a folder"))
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .expect("the binary runs")
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let code = output.status.code().expect("an exit code");
    format!("exit {code}\n--- stdout\n{}--- stderr\n{}", text(&output.stdout), text(&output.stderr))
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/cases").join(name)
}

/// Compares what `check` tells of a case with what is written beside it, and gives it back.
fn expect(name: &str) -> String {
    let (file, golden) = (case(&format!("{name}.toml")), case(&format!("{name}.txt")));
    let told = told(&check(&file));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &told).expect("the golden file is writable");
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert!(told == expected, "{name}: expected\n{expected}\nbut it tells\n{told}");
    told
}

#[test]
fn slips_of_every_kind_are_told_in_one_run() {
    assert!(expect("slips").starts_with("exit 78\n"));
}

#[test]
fn rules_are_checked() {
    let told = expect("rules");
    assert!(told.contains("`upstream` is a key of [[route]]: move it above [[route.public]] at line 11"));
}

#[test]
fn what_logins_ask_for_is_checked() {
    assert!(expect("hints").starts_with("exit 78\n"));
}

#[test]
fn conditions_are_checked_those_of_files_too() {
    let told = expect("conditions");
    assert!(told.starts_with("exit 78\n") && told.contains("sirets.txt:4"), "{told}");
}

#[test]
fn every_condition_can_be_written() {
    let told = expect("conditions_right");
    assert!(told.starts_with("exit 0\n") && told.contains("2 warnings"), "{told}");
}

#[test]
fn a_store_is_one_that_can_be_reached_and_says_so() {
    let told = expect("store");
    assert!(told.starts_with("exit 78\n") && !told.contains("hunter2"), "{told}");
    assert!(expect("store_embedded").starts_with("exit 78\n"));
}

#[test]
fn keys_of_features_to_come_are_errors() {
    let told = expect("later");
    assert!(told.starts_with("exit 78\n"));
    for key in ["owner", "proxy_protocol"] {
        assert!(told.contains(&format!("`{key}` is not available in this version")), "{key}");
    }
}

#[test]
fn what_the_portal_would_show_is_checked() {
    let told = expect("portal");
    assert!(told.starts_with("exit 78\n") && told.contains("cannot read absente.svg"), "{told}");
    assert!(expect("portal_right").starts_with("exit 0\n"));
}

#[test]
fn secrets_are_never_printed() {
    for name in ["secrets", "syntax"] {
        let told = expect(name);
        assert!(told.starts_with("exit 78\n") && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn an_empty_file_is_told_what_it_lacks() {
    expect("empty");
}

#[test]
fn what_is_unwise_is_warned_of_and_passes() {
    assert!(expect("unwise").starts_with("exit 0\n"));
}

#[test]
fn production_takes_https_and_real_hosts() {
    expect("production");
    expect("production_local");
}

#[test]
fn routes_of_several_files_do_not_collide() {
    let told = expect("several/portillon");
    assert!(told.contains("routes.d/10-rh.toml") && told.contains("routes.d/20-rh.toml"));
}

#[test]
fn what_to_register_is_printed() {
    let told = expect("right");
    assert!(told.starts_with("exit 0\n"));
    assert_eq!(told.matches("https://paie.example.gouv.fr/oauth2/callback\n").count(), 1);
    assert!(told.contains("https://rh.example.gouv.fr:8443/.portillon/signed-out\n"));
}

#[test]
fn what_to_register_is_printed_by_provider() {
    let told = expect("providers");
    assert!(told.starts_with("exit 0\n"));
    let at = |text: &str| told.find(text).unwrap_or_else(|| panic!("{text}: {told}"));
    let rie = at("https://fca.integ02.agentconnect.rie.gouv.fr/api/v2 for the client rie-client");
    assert!(at("https://paie.example.gouv.fr/.portillon/callback") < rie);
    assert!(at("https://archives.example.rie.gouv.fr/retour") > rie);
    assert_eq!(told.matches("/retour\n").count(), 1);
}

#[test]
fn one_host_has_one_provider() {
    let told = expect("providers_wrong");
    assert!(told.starts_with("exit 78\n"));
    assert!(told.contains("the host `paie.example.gouv.fr` has two providers"));
    assert!(
        told.contains("the route `paie` uses [provider]") && told.contains("the route `paie-rie` uses [providers.rie]")
    );
}

#[test]
fn with_a_login_host_its_uris_alone_are_registered() {
    let told = expect("login");
    assert!(told.starts_with("exit 0\n"));
    assert_eq!(told.matches("/.portillon/callback\n").count(), 3);
    for host in ["login.example.gouv.fr", "connexion.example.rie.gouv.fr:8443", "essai.example.gouv.fr"] {
        assert!(told.contains(&format!("  https://{host}/.portillon/signed-out\n")), "{host}: {told}");
    }
    assert!(told.contains("For paie.example.gouv.fr, rh.example.gouv.fr, whose agents log in there."), "{told}");
}

#[test]
fn a_login_host_is_one_providers() {
    assert!(expect("login_wrong").starts_with("exit 78\n"));
    assert!(expect("login_without_default").starts_with("exit 78\n"));
}

#[test]
fn a_route_names_its_provider_where_there_is_no_default_one() {
    let told = expect("providers_without_default");
    assert!(told.starts_with("exit 78\n") && told.contains("1 error"), "{told}");
}

#[test]
fn a_file_that_is_not_there_is_a_configuration_error() {
    let output = check(&case("not-there.toml"));
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read not-there.toml: No such file or directory"));
}

#[test]
fn a_credential_is_read_inside_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portillon"));
        command.args(["check", "--config"]).arg(case("right.toml")).env("CREDENTIALS_DIRECTORY", folder.path());
        command.output().expect("the binary runs")
    };
    assert_eq!(run().status.code(), Some(78));
    for (content, code) in [("", 78), ("\n", 78), ("a secret\n", 0)] {
        fs::write(folder.path().join("client_secret"), content).expect("the folder is writable");
        let output = run();
        assert_eq!(output.status.code(), Some(code), "{content:?}: {}", told(&output));
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let usage = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_portillon")).args(args).output().expect("it runs");
    assert_eq!(usage(&["chek"]).status.code(), Some(2));
    assert_eq!(usage(&["check", "--configuration", "x"]).status.code(), Some(2));
    assert_eq!(usage(&[]).status.code(), Some(2));
    assert_eq!(usage(&["--version"]).status.code(), Some(0));
    assert_eq!(usage(&["check", "--help"]).status.code(), Some(0));
}
