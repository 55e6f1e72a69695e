//! What proves to an application that a request passed the gateway: `sign` and what goes with it.

use super::site::Site;
use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{Item, Section};
use crate::secret::Secret;
use crate::signature::Algorithm;

/// HMAC-SHA-256 is as strong as its key: as long as the hash, at least (RFC 2104 section 3).
const SHORTEST_KEY: usize = 32;

pub(super) struct Proofs {
    pub(super) request: bool,
    pub(super) assertion: bool,
    pub(super) algorithm: Algorithm,
    pub(super) hmac_key: Option<Secret<Vec<u8>>>,
    pub(super) audience: String,
}

/// The proofs of the route called `name`; none where an error was told.
pub(super) fn read(section: &Section<'_>, site: &Site<'_>, name: Option<&str>) -> Option<Proofs> {
    let (request, assertion) = sign(section);
    let algorithm = section.parsed("signature_algorithm").unwrap_or(site.algorithm);
    let hmac_key = section.item("hmac_key").and_then(|item| hmac_key(&item, site));
    check_use(section, request, algorithm);
    let audience = section.item("audience").and_then(|item| item.read(parse_audience));
    Some(Proofs { request, assertion, algorithm, hmac_key, audience: audience.or_else(|| name.map(str::to_owned))? })
}

fn sign(section: &Section<'_>) -> (bool, bool) {
    let Some(item) = section.item("sign") else { return (true, true) };
    let proofs: Vec<bool> = item.elements().iter().filter_map(|element| element.read(is_request)).collect();
    (proofs.contains(&true), proofs.contains(&false))
}

fn is_request(text: &str) -> Result<bool, &'static str> {
    match text {
        "assertion" => Ok(false),
        "request" => Ok(true),
        _ => Err("\"request\" or \"assertion\""),
    }
}

/// A key is there exactly where it is used.
fn check_use(section: &Section<'_>, request: bool, algorithm: Algorithm) {
    let (key, chosen) = (section.item("hmac_key"), section.item("signature_algorithm"));
    let hmac = algorithm == Algorithm::HmacSha256;
    match key {
        None if request && hmac => {
            let place = chosen.map_or_else(|| section.place(), |item| item.place());
            let missing = Diagnostic::error(&place, "`hmac-sha256` needs an `hmac_key` of this route");
            section
                .report()
                .push(missing.help("hmac_key = { file = \"…\" }, 32 random bytes or more, for this application alone"));
        }
        Some(item) if !request || !hmac => {
            let idle = Diagnostic::error(&item.key_place(), "nothing uses this `hmac_key`");
            item.report(idle.help("it takes \"request\" in `sign`, and signature_algorithm = \"hmac-sha256\""));
        }
        _ => {}
    }
    if let Some(item) = chosen.filter(|_| !request) {
        let idle = Diagnostic::warning(&item.key_place(), "nothing uses this `signature_algorithm`");
        item.report(idle.help("requests of this route carry no signature: \"request\" is not in `sign`"));
    }
}

fn hmac_key(item: &Item<'_>, site: &Site<'_>) -> Option<Secret<Vec<u8>>> {
    let key = site.surroundings.secret(item)?;
    // An empty one could not be read here: it is a credential of the unit.
    let length = key.expose().len();
    if length == 0 {
        return Some(key);
    }
    if length < SHORTEST_KEY {
        let short = item.error(format!("this `hmac_key` has {length} bytes"));
        item.report(short.help(format!("{SHORTEST_KEY} random bytes at least: openssl rand -hex 32")));
        return None;
    }
    site.note_key(item, key.expose());
    Some(key)
}

/// Goes into a signature parameter and a claim as it is.
fn parse_audience(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if plain && !text.is_empty() { Ok(text.to_owned()) } else { Err("visible ASCII without spaces, `\"` and `\\`") }
}
