//! The gateway's own certificates: for every host, in order, and for some time to come.

use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use super::Finding;
use super::certificate::{Codes, Facts};
use crate::clock::Timestamp;
use crate::config::Config;
use crate::route::Authority;

const CODES: Codes = Codes { expired: "certificate_expired", expires: "certificate_expires", fine: "certificate" };

pub(super) fn examine(config: &Config, now: Timestamp) -> Vec<Finding> {
    let chains: Vec<(String, Vec<CertificateDer<'static>>)> = config
        .server
        .certificates
        .iter()
        .map(|files| (format!("certificate {}", files.cert.display()), chain(files)))
        .collect();
    let mut findings: Vec<Finding> = chains.iter().flat_map(|(about, chain)| one(about, chain, now)).collect();
    if !chains.is_empty() {
        findings.extend(names(config, &chains));
    }
    findings
}

/// The configuration was loaded, so the file could be read a moment ago.
fn chain(files: &crate::listener::tls::CertificateFiles) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(&files.cert).map(|found| found.flatten().collect()).unwrap_or_default()
}

fn one(about: &str, chain: &[CertificateDer<'static>], now: Timestamp) -> Vec<Finding> {
    let facts: Vec<Facts> = chain.iter().filter_map(|der| Facts::of(der)).collect();
    let Some(leaf) = facts.first() else { return Vec::new() };
    let mut findings = vec![leaf.lifetime(about, now, &CODES)];
    if facts.windows(2).any(|pair| !pair[0].is_signed_by(&pair[1])) {
        let help = "the certificate of the host first, then each one that signed the one before it";
        findings.push(Finding::fault("certificate_order", about, "the chain is not in order", help));
    } else if facts.len() == 1 && !leaf.is_self_signed() {
        let message = "the file holds no intermediate certificate: browsers that do not know its signer refuse it";
        let help = "append the intermediate certificates that the authority gave with it";
        findings.push(Finding::advice("certificate_alone", about, message, help));
    }
    findings
}

/// Every host that agents see has a certificate with its name.
fn names(config: &Config, chains: &[(String, Vec<CertificateDer<'static>>)]) -> Vec<Finding> {
    let login = config.providers.iter().filter_map(|provider| provider.login_host.as_ref());
    let mut hosts: Vec<&Authority> = config.routes.iter().map(|route| &route.authority).chain(login).collect();
    hosts.sort_unstable();
    hosts.dedup_by_key(|host| host.host());
    let missing = hosts.into_iter().filter(|host| !chains.iter().any(|(_, chain)| is_for(chain, host.host())));
    let finding = |host: &Authority| {
        let help = "have one issued for this name, and add it to `certificates` in [server.tls]";
        Finding::fault("certificate_name", &format!("host {host}"), "no certificate is for this name", help)
    };
    missing.map(finding).collect()
}

fn is_for(chain: &[CertificateDer<'static>], host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let (Ok(name), Some(leaf)) = (ServerName::try_from(bare), chain.first()) else { return false };
    ParsedCertificate::try_from(leaf).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
}
