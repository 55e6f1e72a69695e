//! The identity headers that a request must carry, computed apart from the gateway's own code.

use serde_json::{Map, Value};

use super::agent::Agent;
use super::site::{Route, Site};

/// Header name (folded) and value, in lexical order.
pub type Fields = Vec<(String, Vec<u8>)>;

/// The identity headers of a request by `agent` to `route`, `X-Agent-Session` and `X-Agent-Assertion` left out.
pub fn expected(site: &Site, route: &Route, agent: &Agent) -> Fields {
    let claims = delivered(site, agent);
    let mut fields: Fields = claims
        .iter()
        .filter(|(claim, _)| route.releases(claim))
        .map(|(claim, value)| (header_name(&site.header_prefix, claim), encode(site.encoding, value)))
        .collect();
    for (name, claim) in &route.headers {
        fields.extend(claims.get(claim).map(|value| (name.to_ascii_lowercase(), encode(site.encoding, value))));
    }
    fields.sort();
    fields
}

/// The claims that the gateway learns of `agent`: what the scopes give, `acr` and `amr`, and the SIREN of the SIRET.
pub fn delivered(site: &Site, agent: &Agent) -> Map<String, Value> {
    let scopes: Vec<&str> = site.scope.iter().map(String::as_str).collect();
    let mut claims = agent.user_info(&scopes);
    for name in ["acr", "amr"] {
        claims.extend(agent.claim(name).map(|value| (name.to_owned(), value.clone())));
    }
    let siren = claims.get("siret").and_then(Value::as_str).map(|siret| Value::from(&siret[..9]));
    if let Some(siren) = siren.filter(|_| !claims.contains_key("siren")) {
        claims.insert("siren".to_owned(), siren);
    }
    claims
}

/// `X-Agent-Chorusdt-Matricule` for `chorusdt:matricule`, in lower case.
pub fn header_name(prefix: &str, claim: &str) -> String {
    format!("{prefix}{claim}").replace(['_', ':'], "-").to_ascii_lowercase()
}

fn encode(encoding: &str, value: &Value) -> Vec<u8> {
    let text = match value {
        Value::String(text) => return encode_text(encoding, text),
        Value::Array(elements) => {
            let elements = elements.iter().map(|element| element.as_str().expect("a list of strings"));
            return elements.map(|e| percent(e).replace(',', "%2C")).collect::<Vec<_>>().join(",").into_bytes();
        }
        other => other.to_string(),
    };
    encode_text(encoding, &text)
}

fn encode_text(encoding: &str, text: &str) -> Vec<u8> {
    match encoding {
        "percent" => percent(text).into_bytes(),
        "utf8" => text.as_bytes().to_vec(),
        "latin1" => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
        other => unreachable!("no test expects {other}"),
    }
}

/// Every byte of the UTF-8 outside 0x21–0x7E, and `%`, as `%XX`.
pub fn percent(text: &str) -> String {
    let plain = |byte: u8| (0x21..=0x7E).contains(&byte) && byte != b'%';
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What [`percent`] encoded.
pub fn from_percent(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().expect("UTF-8 under the percents").into_owned()
}

#[test]
fn percent_leaves_visible_ascii_alone_and_can_be_undone() {
    assert_eq!(percent("d’Août 100%"), "d%E2%80%99Ao%C3%BBt%20100%25");
    assert_eq!(from_percent(&percent("東京\r\n,;\"")), "東京\r\n,;\"");
}
