//! The master invariant: without a valid session and without a public rule the upstream saw zero bytes; what reached
//! it carries exactly the identity headers that belong to its agent, each once, no cookie of the gateway's and no token.

use std::collections::HashSet;

use portillon::clock::Timestamp;
use portillon::http_ext::{folded_name, folds_under};

use super::cookies::OWN_PREFIX;
use super::identity::{Fields, expected, header_name};
use super::proof::{Keys, verify_assertion, verify_request};
use super::site::{Route, Site};
use super::upstream::{Expected, Log, Received, Who};

/// What the requests of an upstream are held against.
pub struct Invariant<'a> {
    /// The site as configured when the test ends.
    pub site: &'a Site,
    /// The keys that the gateway publishes.
    pub keys: &'a Keys,
    /// What may appear nowhere.
    pub secrets: &'a [String],
}

impl Invariant<'_> {
    /// Panics where what arrived is not exactly what was meant to arrive.
    pub fn check(&self, log: &Log) {
        assert!(log.stray.is_empty(), "bytes that are no request: {:?}", log.stray);
        let mut missing: Vec<&Expected> = log.expected.iter().collect();
        missing.sort_by_key(|expected| !expected.required);
        for request in &log.received {
            let mut problems = Vec::new();
            let found = missing.iter().position(|expected| {
                expected.line == request.line()
                    && self.problem(request, &expected.who).map_err(|problem| problems.push(problem)).is_ok()
            });
            match found {
                Some(at) => drop(missing.remove(at)),
                None => panic!("{} is not meant to arrive: {problems:#?}\n{request:#?}", request.line()),
            }
        }
        missing.retain(|expected| expected.required);
        assert!(missing.is_empty(), "never arrived: {missing:#?}");
        self.check_nonces(log);
    }

    fn problem(&self, request: &Received, who: &Who) -> Result<(), String> {
        let host = request.head.value("host").ok_or("no Host")?;
        let path = request.head.word(1).split('?').next().unwrap_or_default();
        let route = self.site.route_of(host, path).ok_or_else(|| format!("no route for {host}{path}"))?;
        self.check_secrets(request)?;
        check_cookies(request)?;
        match who {
            Who::Public => self.check_identity(request, route, &Vec::new())?,
            Who::Agent(agent) => {
                self.check_identity(request, route, &expected(self.site, route, agent))?;
                self.check_assertion(request, route, agent.sub())?;
            }
        }
        self.check_signature(request, route)
    }

    /// The identity headers, whatever their spelling, are the expected ones; session and assertion are there once for
    /// an agent, and never for anybody else.
    fn check_identity(&self, request: &Received, route: &Route, expected: &Fields) -> Result<(), String> {
        let proofs = ["session", "assertion"].map(|name| header_name(&self.site.header_prefix, name));
        let (proof, identity): (Fields, Fields) =
            self.identity_fields(request, route).into_iter().partition(|(name, _)| proofs.contains(name));
        if identity != *expected {
            return Err(format!("identity {} instead of {}", show(&identity), show(expected)));
        }
        let session = usize::from(!expected.is_empty());
        let assertion = if route.sign.contains(&"assertion") { session } else { 0 };
        for (name, wanted) in proofs.iter().zip([session, assertion]) {
            let count = proof.iter().filter(|(field, _)| field == name).count();
            if count != wanted {
                return Err(format!("{count} times {name} instead of {wanted}"));
            }
        }
        Ok(())
    }

    /// Every field under the reserved prefix in any spelling, and the further names of the route, sorted.
    fn identity_fields(&self, request: &Received, route: &Route) -> Fields {
        let prefix = folded_name(&self.site.header_prefix);
        let extra: Vec<String> = route.headers.iter().map(|(name, _)| folded_name(name)).collect();
        let is_identity = |name: &str| folds_under(name, &prefix) || extra.contains(&folded_name(name));
        let mut fields: Fields = request
            .head
            .fields
            .iter()
            .filter(|(name, _)| is_identity(name))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect();
        fields.sort();
        fields
    }

    fn check_assertion(&self, request: &Received, route: &Route, sub: &str) -> Result<(), String> {
        if !route.sign.contains(&"assertion") {
            return Ok(());
        }
        let field = |name: &str| request.header(&header_name(&self.site.header_prefix, name));
        // The manual clock may have moved since: what counts is that it was valid when it arrived.
        let token = field("assertion");
        let claims = verify_assertion(&token, self.keys, issued_at(&token))?;
        let wanted = [("sub", sub.to_owned()), ("sid", field("session")), ("aud", route.name.clone())];
        for (name, value) in wanted {
            if claims.get(name) != Some(&serde_json::Value::from(value.as_str())) {
                return Err(format!("{name} of the assertion is {:?}, not {value}", claims.get(name)));
            }
        }
        Ok(())
    }

    fn check_signature(&self, request: &Received, route: &Route) -> Result<(), String> {
        if !route.sign.contains(&"request") {
            let absent = !request.head.has("signature") && !request.head.has("signature-input");
            return if absent { Ok(()) } else { Err("a signature that nobody asked for".to_owned()) };
        }
        let keys = Keys { hmac: route.hmac_key.clone(), ..self.keys.clone() };
        let signed = verify_request(request, &keys)?;
        let assertion = header_name(&self.site.header_prefix, "assertion");
        let identity = self.identity_fields(request, route).into_iter().map(|(name, _)| name);
        let mut wanted: Vec<String> = ["@method", "@authority", "@path", "@query"].map(str::to_owned).to_vec();
        wanted.extend(identity.filter(|name| *name != assertion));
        let (wanted, covered): (HashSet<_>, HashSet<_>) = (wanted.iter().collect(), signed.covered.iter().collect());
        if wanted != covered || signed.covered.len() != covered.len() {
            return Err(format!("the signature covers {covered:?} instead of {wanted:?}"));
        }
        if signed.tag == route.name { Ok(()) } else { Err(format!("the tag is {}", signed.tag)) }
    }

    fn check_secrets(&self, request: &Received) -> Result<(), String> {
        let text = String::from_utf8_lossy(&request.raw);
        let leaked = self.secrets.iter().find(|secret| !secret.is_empty() && text.contains(secret.as_str()));
        leaked.map_or(Ok(()), |secret| Err(format!("the secret {secret} reached the upstream")))
    }

    fn check_nonces(&self, log: &Log) {
        let mut nonces = HashSet::new();
        for request in &log.received {
            if let Ok(signed) = verify_request(request, self.keys) {
                assert!(nonces.insert(signed.nonce.clone()), "the nonce {} was used twice", signed.nonce);
            }
        }
    }
}

fn check_cookies(request: &Received) -> Result<(), String> {
    let cookies = request.head.values("cookie").join("; ");
    if cookies.contains(OWN_PREFIX) { Err(format!("a cookie of the gateway's: {cookies}")) } else { Ok(()) }
}

fn issued_at(token: &str) -> Timestamp {
    let claims = token.split('.').nth(1).and_then(portillon::crypto::from_base64url).unwrap_or_default();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap_or_default();
    Timestamp::from_secs(claims["iat"].as_u64().unwrap_or_default())
}

fn show(fields: &Fields) -> String {
    let lines: Vec<String> =
        fields.iter().map(|(n, value)| format!("{n}: {}", String::from_utf8_lossy(value))).collect();
    format!("{lines:#?}")
}

#[cfg(test)]
mod tests {
    use portillon::crypto::signing::{KeyType, SigningKey};

    use super::super::agent::Agent;
    use super::super::wire::{Field, Head};
    use super::*;

    const PARAMETERS: &str = ";created=1;expires=61;keyid=\"KID\";alg=\"ed25519\";nonce=\"n\";tag=\"paie\"";

    /// A request as a gateway should send it: the route signs requests and releases `sub` only.
    fn request(key: &SigningKey, agent: &Agent) -> Received {
        let parameters = PARAMETERS.replace("KID", key.kid());
        let list = "(\"@method\" \"@authority\" \"@path\" \"@query\" \"x-agent-session\" \"x-agent-sub\")";
        let base = format!(
            "\"@method\": GET\n\"@authority\": a.test\n\"@path\": /x\n\"@query\": ?q\n\"x-agent-session\": s\n\
             \"x-agent-sub\": {}\n\"@signature-params\": {list}{parameters}",
            agent.sub()
        );
        let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key.sign(base.as_bytes()));
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let fields = vec![
            field("Host", "a.test"),
            field("X-Agent-Sub", agent.sub()),
            field("X-Agent-Session", "s"),
            field("Signature-Input", &format!("portillon={list}{parameters}")),
            field("Signature", &format!("portillon=:{signature}:")),
        ];
        Received { head: Head { start_line: "GET /x?q HTTP/1.1".to_owned(), fields }, ..Received::default() }
    }

    fn problem(request: &Received, key: &SigningKey, agent: &Agent) -> Result<(), String> {
        let mut route = Route::new("paie", "a.test", "http://127.0.0.1:1");
        route.sign = vec!["request"];
        route.release(&["sub"]);
        let mut site = Site::new("http://127.0.0.1:1");
        site.routes.push(route);
        let keys = Keys { jwks: vec![key.to_jwk().unwrap()], hmac: None };
        let invariant = Invariant { site: &site, keys: &keys, secrets: &["the-secret".to_owned()] };
        invariant.problem(request, &Who::from(agent))
    }

    #[test]
    fn the_invariant_accepts_what_it_should_and_nothing_else() {
        let (key, agent) = (SigningKey::generate(KeyType::Ed25519).unwrap(), Agent::angela());
        let honest = request(&key, &agent);
        assert_eq!(problem(&honest, &key, &agent), Ok(()));
        let with = |name: &str, value: &str| {
            let mut changed = honest.clone();
            changed.head.fields.push(Field::from((name.to_owned(), value.as_bytes().to_vec())));
            changed.raw = format!("{name}: {value}").into_bytes();
            problem(&changed, &key, &agent)
        };
        assert_eq!(with("X-Other", "1"), Ok(()));
        for (name, value) in [
            ("X_Agent_Email", "evil@x"),
            ("x-agent-sub", agent.sub()),
            ("Cookie", "a=1; __Host-portillon-1=x"),
            ("X-Other", "the-secret"),
        ] {
            assert!(with(name, value).is_err(), "{name}: {value}");
        }
        let mut other_path = honest.clone();
        other_path.head.start_line = "GET /x?r HTTP/1.1".to_owned();
        assert!(problem(&other_path, &key, &agent).is_err());
        assert!(problem(&honest, &key, &Agent::eloise()).is_err());
    }
}
