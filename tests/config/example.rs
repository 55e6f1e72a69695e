//! `config.example.toml`: it passes as it stands, and with every key behind `#` uncommented.

use std::fs;
use std::path::Path;

use super::{check, told};

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The example with its keys uncommented and its files in `folder`.
fn uncommented(folder: &Path) -> String {
    let lines = EXAMPLE.lines().map(|line| line.strip_prefix("# ").filter(|key| is_key(key)).unwrap_or(line));
    // `issuer` stands in place of `environment`.
    let kept: Vec<&str> = lines.filter(|line| !line.starts_with("environment")).collect();
    let text = kept.join("\n").replace("/etc/portillon/", &format!("{}/", folder.display()));
    // The keys of the shared store, all of them.
    text.replace("kind = \"embedded\"", "kind = \"redis\"").replace("mode = \"single\"", "mode = \"sentinel\"")
}

/// `key = value` or a header, and not a sentence.
fn is_key(text: &str) -> bool {
    let word = text.split(" = ").next().unwrap_or_default();
    let key = text.contains(" = ") && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    key || (text.starts_with('[') && text.ends_with(']'))
}

fn write_files(folder: &Path) {
    let key = rcgen::generate_simple_self_signed(vec!["paie.intranet.example.gouv.fr".to_owned()]).expect("a key");
    fs::create_dir_all(folder.join("tls")).expect("a folder");
    let files = [
        ("tls/fullchain.pem", key.cert.pem()),
        ("tls/privkey.pem", key.signing_key.serialize_pem()),
        ("provider-ca.pem", key.cert.pem()),
        ("application-ca.pem", key.cert.pem()),
        ("redis-ca.pem", key.cert.pem()),
        ("paie.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_owned()),
        ("archives.key", "0123456789abcdef0123456789abcdef\n".to_owned()),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content).expect("the folder is writable");
    }
}

#[test]
fn the_example_passes_on_any_machine() {
    let output = check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml"));
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    // The credential, which only the unit can read.
    assert!(told(&output).contains("\n1 warning\n"), "{}", told(&output));
}

#[test]
fn the_example_passes_with_every_key_uncommented() {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    let text = uncommented(folder.path());
    for key in
        ["issuer = ", "[server.tls]", "[[server.listener]]", "hmac_key = ", "max_body = ", "pages_dir = ", "icon = "]
    {
        assert!(text.lines().any(|line| line.starts_with(key)), "{key} is uncommented");
    }
    let file = folder.path().join("portillon.toml");
    fs::write(&file, text).expect("the folder is writable");
    let output = check(&file);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[test]
fn what_a_key_needs_is_an_error_where_it_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("portillon.toml");
    fs::write(&file, uncommented(folder.path())).expect("the folder is writable");
    let told = told(&check(&file));
    assert!(told.starts_with("exit 78\n"), "{told}");
    let files = ["fullchain.pem", "provider-ca.pem", "application-ca.pem", "redis-ca.pem", "archives.key", "paie.svg"];
    for missing in files {
        assert!(told.contains(&format!("{missing}: ")) && told.contains("6 errors"), "{missing}: {told}");
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    write_files(folder.path());
    let other = rcgen::KeyPair::generate().expect("a key");
    fs::write(folder.path().join("tls/privkey.pem"), other.serialize_pem()).expect("the folder is writable");
    fs::write(folder.path().join("provider-ca.pem"), "no PEM at all").expect("the folder is writable");
    let file = folder.path().join("portillon.toml");
    fs::write(&file, uncommented(folder.path())).expect("the folder is writable");
    let told = told(&check(&file));
    assert!(told.starts_with("exit 78\n") && told.contains("2 errors"), "{told}");
    assert!(told.contains("this certificate cannot be used") && told.contains("holds no certificate"), "{told}");
}
