//! An implementation of RFC 9421 that is not ours accepts every request that we sign, and refuses every tampered one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portillon::clock::{Clock, Timestamp};
use portillon::crypto::key_ring::KeyRing;
use portillon::crypto::random_token;
use portillon::crypto::signing::SigningKey;
use portillon::identity::{ClaimValue, Claims, Encoding, HeaderPlan, HeaderPrefix};
use portillon::signature::{Algorithm, CoveredFields, Signer, Target};
use serde_json::{Map, Value, json};

#[path = "verifier/documented.rs"]
mod documented;

const TAG: &str = "paie";
const SHARED: &[u8] = b"a secret that one application shares with the gateway";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519, Algorithm::HmacSha256];
const ENCODINGS: [Encoding; 5] =
    [Encoding::Base64Url, Encoding::Latin1, Encoding::Percent, Encoding::Rfc2047, Encoding::Utf8];
const TARGET: Target<'static> =
    Target { method: "GET", authority: "paie.example", path: "/fiches/2026", query: Some("mois=8&tri=") };

/// The keys of a gateway, and what an application knows of them.
struct Gateway {
    ring: KeyRing,
    shared: Arc<SigningKey>,
    now: Timestamp,
}

/// A request as an application receives it.
#[derive(Clone)]
struct Received {
    algorithm: Algorithm,
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    tag: String,
}

impl Gateway {
    fn new() -> Self {
        Self::with_secret(SHARED, Clock::system().now())
    }

    /// Another one, under the same names as far as it can choose them.
    fn foreign(now: Timestamp) -> Self {
        Self::with_secret(b"a secret of its own", now)
    }

    fn with_secret(shared: &[u8], now: Timestamp) -> Self {
        Self { ring: KeyRing::ephemeral(now), shared: Arc::new(SigningKey::hmac_sha256(TAG, shared)), now }
    }

    fn key(&self, algorithm: Algorithm) -> &Arc<SigningKey> {
        self.ring.request_key(algorithm, self.now).unwrap_or(&self.shared)
    }

    /// What `signer` of a route with this encoding sends for `target` at the instant `created`.
    fn send(&self, algorithm: Algorithm, encoding: Encoding, target: Target<'_>, created: Timestamp) -> Received {
        let plan = HeaderPlan::new(
            &HeaderPrefix::default(),
            encoding,
            None,
            &[(http::HeaderName::from_static("remote-user"), "email".into())],
        );
        let identity = plan.headers(&agent(), "pseudonym");
        let signer = Signer::new(TAG.to_owned(), Duration::from_secs(60));
        let covered = CoveredFields::new(identity.iter());
        let fields = signer.sign(self.key(algorithm), &target, &covered, created, &random_token::<16>());
        let bytes = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        let mut headers = vec![bytes("Host", target.authority.as_bytes()), bytes("Accept", b"text/html")];
        headers.extend(identity.iter().map(|(name, value)| bytes(name, value.as_bytes())));
        headers.push(bytes("X-Agent-Assertion", b"e30.e30.AA"));
        headers.push(bytes("Signature-Input", fields.signature_input.as_bytes()));
        headers.push(bytes("Signature", fields.signature.as_bytes()));
        let query = target.query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("https://{}{}{query}", target.authority, target.path);
        Received { algorithm, method: target.method.to_owned(), url, headers, tag: TAG.to_owned() }
    }

    fn honest(&self, algorithm: Algorithm) -> Received {
        self.send(algorithm, Encoding::Percent, TARGET, self.now)
    }

    fn keys(&self) -> Value {
        let mut keys = Map::new();
        for algorithm in ALGORITHMS {
            let key = self.key(algorithm);
            let described = key
                .to_public_pem()
                .map_or_else(|| json!({ "secret": STANDARD.encode(SHARED) }), |pem| json!({ "pem": pem }));
            keys.insert(key.kid().to_owned(), described);
        }
        Value::Object(keys)
    }
}

impl Received {
    fn describe(&self, name: &str) -> Value {
        let latin1 = |value: &[u8]| value.iter().copied().map(char::from).collect::<String>();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| json!([name, latin1(value)])).collect();
        json!({
            "name": name,
            "algorithm": self.algorithm.as_str(),
            "method": self.method,
            "url": self.url,
            "headers": headers,
            "tag": self.tag,
            "identity_prefix": "X-Agent-",
        })
    }

    fn with_url(mut self, from: &str, to: &str) -> Self {
        assert!(self.url.contains(from), "{}", self.url);
        self.url = self.url.replacen(from, to, 1);
        self
    }

    fn with_header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), value.to_vec()));
        self
    }

    fn with_changed(mut self, name: &str, change: impl Fn(&mut Vec<u8>)) -> Self {
        let line = self.headers.iter_mut().find(|(known, _)| known == name);
        change(&mut line.expect("the header is there").1);
        self
    }

    fn with_replaced(self, name: &str, from: &str, to: &str) -> Self {
        self.with_changed(name, |value| {
            let text = String::from_utf8(value.clone()).expect("the signature fields are ASCII");
            assert!(text.contains(from), "{text}");
            *value = text.replacen(from, to, 1).into_bytes();
        })
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    fn identity(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let is_identity =
            |name: &str| name == "Remote-User" || (name.starts_with("X-Agent-") && name != "X-Agent-Assertion");
        let lines = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        lines.filter(move |(name, _)| is_identity(name))
    }
}

fn agent() -> Claims {
    let mut claims = Claims::new("3f1f3d2a-sub");
    for (name, value) in [
        ("given_name", "Zoë 東京 👩‍🚒"),
        ("usual_name", "Éloïse Ñandú"),
        ("email", "eloise.nandu@paie.example"),
        ("uid", "a\r\nX-Agent-Roles: admin"),
        ("siret", "13002526500013"),
        ("phone_number", " +33 1 23 45 67 89 "),
    ] {
        claims.insert(name, ClaimValue::Text(value.to_owned()));
    }
    claims.insert("roles", ClaimValue::List(vec!["agent_public".into(), "a,b".into(), "é".into()]));
    claims.insert("amr", ClaimValue::List(Vec::new()));
    claims.insert("custom", ClaimValue::Json(r#"{"service":"Été, \"ici\""}"#.into()));
    claims
}

fn python() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let python = std::env::var_os("PORTILLON_PYTHON").map_or(default, PathBuf::from);
    assert!(
        python.exists() || python.components().count() == 1,
        "{} is not there: run `make test`, which sets the independent verifier up, or name a Python that has \
         http-message-signatures in PORTILLON_PYTHON",
        python.display()
    );
    python
}

/// What the verifier says of each request: `None` where it accepts it.
fn outcomes(keys: &Value, requests: &[(String, Received)]) -> Map<String, Value> {
    let described: Vec<_> = requests.iter().map(|(name, received)| received.describe(name)).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier/verify.py");
    let mut child = Command::new(python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the verifier starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = json!({ "keys": keys, "requests": described }).to_string();
    // From a thread of its own: the verifier answers only after it read everything, but pipes are short.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the verifier ends");
    writer.join().expect("the writer does not panic").expect("the verifier reads");
    assert!(output.status.success(), "the verifier failed: run `make test`, which installs what it needs");
    let outcomes: Map<String, Value> = serde_json::from_slice(&output.stdout).expect("the verifier writes JSON");
    assert_eq!(outcomes.len(), requests.len(), "each request has a name of its own");
    outcomes
}

fn assert_accepted(keys: &Value, requests: &[(String, Received)]) {
    for (name, refusal) in outcomes(keys, requests) {
        assert_eq!(refusal, Value::Null, "{name} is refused");
    }
}

fn assert_refused(keys: &Value, requests: &[(String, Received)]) {
    for (name, refusal) in outcomes(keys, requests) {
        assert_ne!(refusal, Value::Null, "{name} is accepted");
    }
}

#[test]
fn what_we_sign_is_accepted() {
    let gateway = Gateway::new();
    let mut requests = Vec::new();
    for algorithm in ALGORITHMS {
        for encoding in ENCODINGS {
            let name = format!("{algorithm} {encoding:?}");
            requests.push((name, gateway.send(algorithm, encoding, TARGET, gateway.now)));
        }
    }
    let targets = [
        Target { path: "/", query: None, ..TARGET },
        Target { query: Some(""), ..TARGET },
        Target { query: Some("q=%C3%A9+%2f&q=a?b"), ..TARGET },
        Target { path: "/a%2Fb/%C3%A9;v=1//c", ..TARGET },
        Target { method: "POST", authority: "paie.example:8443", ..TARGET },
        Target { method: "PROPFIND", authority: "[2001:db8::1]:8443", ..TARGET },
    ];
    for target in targets {
        requests
            .push((format!("{target:?}"), gateway.send(Algorithm::Ed25519, Encoding::Percent, target, gateway.now)));
    }
    let earlier = Timestamp::from_secs(gateway.now.as_secs() - 50);
    requests.push(("almost too late".into(), gateway.send(Algorithm::Ed25519, Encoding::Percent, TARGET, earlier)));
    assert_accepted(&gateway.keys(), &requests);
}

#[test]
fn a_public_request_is_accepted_and_carries_no_identity() {
    let gateway = Gateway::new();
    let signer = Signer::new(TAG.to_owned(), Duration::from_secs(60));
    let key = gateway.key(Algorithm::Ed25519);
    let fields = signer.sign(key, &TARGET, &CoveredFields::none(), gateway.now, &random_token::<16>());
    let mut request = gateway.honest(Algorithm::Ed25519);
    request.headers.retain(|(name, _)| name == "Host");
    let request = request
        .with_header("Signature-Input", fields.signature_input.as_bytes())
        .with_header("Signature", fields.signature.as_bytes());
    let keys = gateway.keys();
    assert_accepted(&keys, &[("public".into(), request.clone())]);
    assert_refused(&keys, &[("identity added".into(), request.with_header("X-Agent-Sub", b"admin"))]);
}

#[test]
fn every_tampered_request_is_refused() {
    let gateway = Gateway::new();
    let requests: Vec<_> = ALGORITHMS.into_iter().flat_map(|algorithm| tampered(&gateway, algorithm)).collect();
    assert_refused(&gateway.keys(), &requests);
}

fn tampered(gateway: &Gateway, algorithm: Algorithm) -> Vec<(String, Received)> {
    let honest = gateway.honest(algorithm);
    let mut cases = tampered_targets(&honest);
    cases.extend(tampered_signatures(gateway, &honest));
    cases.extend(tampered_identities(&honest));
    cases.into_iter().map(|(name, received)| (format!("{algorithm}: {name}"), received)).collect()
}

fn tampered_targets(honest: &Received) -> Vec<(String, Received)> {
    let mut cases = vec![("method".to_owned(), Received { method: "POST".into(), ..honest.clone() })];
    for (from, to) in [
        ("paie.example", "conges.example"),
        ("paie.example", "paie.example:8443"),
        ("/fiches", "/Fiches"),
        ("/fiches", "/./fiches"),
        ("mois=8", "mois=9"),
        ("&tri=", ""),
        ("?mois=8&tri=", ""),
    ] {
        cases.push((format!("{from} -> {to}"), honest.clone().with_url(from, to)));
    }
    cases
}

fn tampered_signatures(gateway: &Gateway, honest: &Received) -> Vec<(String, Received)> {
    let algorithm = honest.algorithm;
    let send = |gateway: &Gateway, created| gateway.send(algorithm, Encoding::Percent, TARGET, created);
    let long_ago = Timestamp::from_secs(gateway.now.as_secs() - 600);
    let other = ALGORITHMS.into_iter().find(|other| *other != algorithm).unwrap_or_default();
    let (kid, other_kid) = (gateway.key(algorithm).kid(), gateway.key(other).kid());
    let in_params = |from: &str, to: &str| honest.clone().with_replaced("Signature-Input", from, to);
    let foreign = send(gateway, gateway.now).headers.pop().map(|(_, signature)| signature).unwrap_or_default();
    let for_another_tag = |received: Received| Received { tag: "conges".into(), ..received };
    let cases = [
        ("tag of another application", for_another_tag(honest.clone())),
        ("tag rewritten", for_another_tag(in_params("tag=\"paie\"", "tag=\"conges\""))),
        ("expired", send(gateway, long_ago)),
        ("expiry put off", in_params("expires=1", "expires=2")),
        ("another key of ours", in_params(kid, other_kid)),
        ("key of another gateway", send(&Gateway::foreign(gateway.now), gateway.now)),
        ("coverage cut", in_params(" \"x-agent-sub\"", "")),
        ("no signature", honest.clone().without("Signature")),
        ("no parameters", honest.clone().without("Signature-Input")),
        ("signature of another request", honest.clone().with_changed("Signature", |value| value.clone_from(&foreign))),
    ];
    cases.into_iter().map(|(name, received)| (name.to_owned(), received)).collect()
}

fn tampered_identities(honest: &Received) -> Vec<(String, Received)> {
    let mut cases = vec![("header not covered".to_owned(), honest.clone().with_header("X-Agent-Acr", b"eidas3"))];
    for (name, value) in honest.identity() {
        cases.push((format!("{name} changed"), honest.clone().with_changed(name, |value| value.push(b'x'))));
        cases.push((format!("{name} twice"), honest.clone().with_header(name, value)));
        cases.push((format!("{name} removed"), honest.clone().without(name)));
    }
    cases
}
