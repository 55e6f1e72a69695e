//! The verifiers of `docs/verify/`, which application teams copy, accept what we sign and refuse what was tampered with.
//!
//! The one in Python always runs. `PORTILLON_RUNTIMES="node php java"` runs the others too, where these are installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use portillon::identity::AssertionIssuer;
use portillon::identity::assertion::Assertion;

use super::*;

const ISSUER: &str = "https://paie.example";
/// Those that every runtime has: an HMAC key is not exported.
const EXPORTED: [Algorithm; 2] = [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519];

fn command(runtime: &str) -> Command {
    let (program, script) = match runtime {
        "java" => (PathBuf::from("java"), "Verify.java"),
        "node" => (PathBuf::from("node"), "verify.mjs"),
        "php" => (PathBuf::from("php"), "verify.php"),
        _ => (python(), "verify.py"),
    };
    let mut command = Command::new(program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify").join(script));
    command
}

fn runtimes() -> Vec<String> {
    let more = std::env::var("PORTILLON_RUNTIMES").unwrap_or_default();
    ["python"].into_iter().chain(more.split_ascii_whitespace()).map(str::to_owned).collect()
}

/// Whether the verifier of that runtime accepts the request, and what it prints.
fn run(runtime: &str, gateway: &Gateway, received: &Received) -> (bool, String) {
    let dir = tempfile::tempdir().expect("a folder for the request");
    let (keys, request) = (dir.path().join("keys.txt"), dir.path().join("request.http"));
    fs::write(&keys, gateway.exported()).expect("the keys are written");
    fs::write(&request, received.head()).expect("the request is written");
    let now = gateway.now.to_string();
    let output = command(runtime).args([&keys, &request]).args([received.tag.as_str(), ISSUER, &now]).output();
    let output = output.unwrap_or_else(|error| unreachable!("{runtime} starts: {error}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || complaint.starts_with("refused: "), "{runtime} broke: {complaint}");
    (output.status.success(), printed + &complaint)
}

impl Gateway {
    /// As `portillon keys export` prints them.
    fn exported(&self) -> String {
        let blocks = self.ring.entries(self.now).into_iter().filter_map(|entry| {
            let key = entry.signing_key?;
            Some(format!("{} {} (in force)\n{}", entry.name.kind(), key.kid(), key.to_public_pem()?))
        });
        blocks.collect()
    }

    fn assertion(&self, audience: &str, sid: &str, issued: Timestamp) -> Assertion {
        let issuer = AssertionIssuer::new(ISSUER.into(), audience.into(), Duration::from_secs(300), None);
        issuer.issue(self.ring.assertion_key(self.now), &agent(), sid, issued)
    }

    /// An honest request with an assertion that holds.
    fn asserted(&self, algorithm: Algorithm) -> Received {
        let assertion = self.assertion(TAG, "pseudonym", self.now);
        self.honest(algorithm).with_assertion(assertion.token.as_bytes())
    }
}

impl Received {
    fn with_assertion(self, token: &[u8]) -> Self {
        self.with_changed("X-Agent-Assertion", |value| *value = token.to_vec())
    }

    fn head(&self) -> Vec<u8> {
        let (_, rest) = self.url.split_once("://").expect("the URL is absolute");
        let (authority, target) = rest.split_at(rest.find('/').expect("the path is not empty"));
        let mut head = format!("{} {target} HTTP/1.1\n", self.method).into_bytes();
        for (name, value) in &self.headers {
            let value = if name == "Host" { authority.as_bytes() } else { value };
            head.extend([name.as_bytes(), b": ", value, b"\n"].concat());
        }
        head.push(b'\n');
        head
    }
}

#[test]
fn documented_verifiers_accept_what_we_sign() {
    let gateway = Gateway::new();
    for runtime in runtimes() {
        for algorithm in EXPORTED {
            let (accepted, printed) = run(&runtime, &gateway, &gateway.asserted(algorithm));
            assert!(accepted, "{runtime} refuses {algorithm}: {printed}");
            assert_eq!(printed.trim_end(), "Zoë 東京 👩‍🚒 Éloïse Ñandú", "{runtime}");
        }
        let bare = Target { path: "/", query: None, ..TARGET };
        let bare = gateway.send(Algorithm::Ed25519, Encoding::Percent, bare, gateway.now).without("X-Agent-Assertion");
        assert!(run(&runtime, &gateway, &bare).0, "{runtime}");
    }
}

#[test]
fn documented_verifiers_refuse_what_was_tampered_with() {
    let gateway = Gateway::new();
    for runtime in runtimes() {
        // Only the last step differs from one algorithm to the other: one of them meets every case.
        let algorithm = if runtime == "java" { Algorithm::EcdsaP256Sha256 } else { Algorithm::Ed25519 };
        let honest = gateway.asserted(algorithm);
        let mut cases = tampered_targets(&honest);
        cases.extend(tampered_signatures(&gateway, &honest));
        cases.extend(tampered_identities(&honest));
        cases.extend(tampered_assertions(&gateway, &honest, runtime == "java"));
        cases.push(("second label".into(), honest.clone().with_header("Signature-Input", b"evil=()")));
        cases.extend(EXPORTED.map(|other| (format!("{other}"), gateway.asserted(other).with_url("/fiches", "/x"))));
        for (name, received) in cases {
            let (accepted, printed) = run(&runtime, &gateway, &received);
            assert!(!accepted, "{runtime} accepts {name}: {printed}");
        }
    }
}

fn tampered_assertions(gateway: &Gateway, honest: &Received, signature_only: bool) -> Vec<(String, Received)> {
    let assertion = |audience, sid, issued| gateway.assertion(audience, sid, issued).token.as_bytes().to_vec();
    let long_ago = Timestamp::from_secs(gateway.now.as_secs() - 600);
    let mut broken = assertion(TAG, "pseudonym", gateway.now);
    let at = broken.len() - 10;
    broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
    let mut tokens = vec![("broken", broken), ("malformed", b"e30.e30.AA".to_vec())];
    if !signature_only {
        tokens.push(("for another audience", assertion("conges", "pseudonym", gateway.now)));
        tokens.push(("of another session", assertion(TAG, "another", gateway.now)));
        tokens.push(("expired", assertion(TAG, "pseudonym", long_ago)));
    }
    let replace = |(name, token): (&str, Vec<u8>)| (format!("assertion {name}"), honest.clone().with_assertion(&token));
    tokens.into_iter().map(replace).collect()
}
