//! `portillon import` from the outside: what it prints for files as they are found in the field, in `import/`, and that
//! `portillon check` takes it.
//!
//! Beside each file stands `FILE.expected`. After a change that is meant, run the tests with `UPDATE=1` and read what
//! changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

fn portillon(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portillon"));
    command.args(args).current_dir(folder).env_remove("CREDENTIALS_DIRECTORY").output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A folder with what the files refer to: certificates, and the secrets that were put where the output says.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["paie.intranet.example.gouv.fr".to_owned()]).expect("a certificate");
    fs::write(folder.path().join("cert.pem"), cert.pem()).expect("it is writable");
    fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).expect("it is writable");
    for secret in ["client_secret", "redis_password"] {
        fs::write(folder.path().join(secret), "a secret").expect("it is writable");
    }
    folder
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name)
}

/// What is printed for a file, of which `check` says nothing worse than a warning.
fn imported(product: &str, file: &str) -> String {
    let folder = folder();
    let output = portillon(&["import", product, &case(file).display().to_string()], folder.path());
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{file}: {}", text(&output.stderr));
    assert!(!printed.contains("hunter2"), "{file}: a secret was copied\n{printed}");
    fs::write(folder.path().join("portillon.toml"), &printed).expect("it is writable");
    let checked = portillon(&["check", "--config", "portillon.toml"], folder.path());
    let code = checked.status.code();
    assert_eq!(code, Some(0), "{file}: check of\n{printed}\nsays\n{}", text(&checked.stderr));
    printed
}

fn expect(product: &str, file: &str) -> String {
    let printed = imported(product, file);
    let golden = case(&format!("{file}.expected"));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &printed).expect("it is writable");
    }
    assert_eq!(fs::read_to_string(&golden).unwrap_or_default(), printed, "{file}");
    printed
}

/// What is printed for a file with this content.
fn of(product: &str, content: &str) -> Output {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, content).expect("it is writable");
    portillon(&["import", product, &file.display().to_string()], folder.path())
}

#[test]
fn an_older_file_of_oauth2_proxy() {
    expect("oauth2-proxy", "legacy.cfg");
}

#[test]
fn oauth2_proxy_at_agentconnect() {
    let printed = expect("oauth2-proxy", "agentconnect.toml");
    assert!(
        printed.contains("environment = \"integration\"") && printed.contains("redirect_path = \"/oauth2/callback\"")
    );
}

#[test]
fn hosts_of_apache() {
    expect("mod_auth_openidc", "intranet.conf");
}

#[test]
fn one_application_behind_apache() {
    expect("mod_auth_openidc", "single.conf");
}

#[test]
fn a_file_that_says_nothing_is_a_draft_that_can_be_checked() {
    for product in ["oauth2-proxy", "mod_auth_openidc"] {
        let folder = folder();
        let printed = text(&of(product, "").stdout);
        fs::write(folder.path().join("portillon.toml"), &printed).expect("it is writable");
        let checked = portillon(&["check", "--config", "portillon.toml"], folder.path());
        assert!(checked.status.success(), "{product}: {printed}\n{}", text(&checked.stderr));
    }
}

#[test]
fn a_rule_that_cannot_be_read_admits_nobody() {
    let o2p = "upstreams = [\"http://127.0.0.1:1\"]\nauthenticated_emails_file = \"/nowhere\"\n";
    let apache = "ProxyPass / http://127.0.0.1:1/\n<Location />\nAuthType openid-connect\nRequire valid-user\n</Location>\n\
                  <LocationMatch \"^/(a|b)\">\nRequire claim roles:x\n</LocationMatch>\n";
    for (product, file) in [("oauth2-proxy", o2p), ("mod_auth_openidc", apache)] {
        let printed = text(&of(product, file).stdout);
        assert!(printed.contains("[[route.allow]]\n  sub = [\"nobody\"]"), "{product}: {printed}");
    }
}

#[test]
fn the_last_location_counts_as_in_apache() {
    let file = "ProxyPass / http://127.0.0.1:1/\n<Location /a>\nRequire valid-user\n</Location>\n\
                <Location />\nAuthType openid-connect\nRequire claim uid:x\n</Location>\n";
    let printed = text(&of("mod_auth_openidc", file).stdout);
    assert_eq!(printed.matches("uid = [\"x\"]").count(), 2, "{printed}");
}

#[test]
fn what_is_copied_stays_in_its_value() {
    let o2p = "client_id = \"a\\\"\\n[server]\"\ncustom = \"x\"\nupstreams = [\"http://127.0.0.1:1\"]\n\
               skip_auth_routes = [\"^/a\\n[[route.public]]\\npath = '/'\"]\nemail_domains = [\"a\\nb = 1\"]\n";
    let printed = text(&of("oauth2-proxy", o2p).stdout);
    assert!(!printed.contains("[[route.public]]\npath") && !printed.contains("\nb = 1"), "{printed}");
    assert_eq!(printed.lines().filter(|line| *line == "[server]").count(), 1, "{printed}");
}

#[test]
fn what_is_no_such_file_is_refused_without_quoting_it() {
    for (product, file) in [
        ("oauth2-proxy", "client_secret: hunter2\n"),
        ("oauth2-proxy", "client_secret = hunter2\n"),
        ("mod_auth_openidc", "OIDCClientSecret hunter2\n</Location>\n"),
    ] {
        let output = of(product, file);
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{product}");
        assert!(told.contains("line ") && !told.contains("hunter2"), "{told}");
    }
}
