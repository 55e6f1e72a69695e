//! `[server]` and `[admin]`

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::path;
use crate::config::diagnostic::Diagnostic;
use crate::config::raw::{Item, Section};
use crate::config::source::{Located, Place};
use crate::config::surroundings::Surroundings;
use crate::config::{ListenerConfig, ServerConfig, TrustedProxy, keys};
use crate::listener::tls::{CertificateFiles, Certificates, TlsError};
use crate::listener::{Address, Limits};
use crate::route::Scheme;

const PREFIX: &str = "/.portillon/";
const STATE_DIR: &str = "/var/lib/portillon";

pub(super) struct Server {
    pub(super) config: ServerConfig,
    /// Where `external_scheme` is written.
    pub(super) scheme_place: Option<Place>,
}

pub(super) fn read(section: &Section<'_>, surroundings: &Surroundings) -> Server {
    section.refuse_unknown_keys();
    let scheme = section.item("external_scheme");
    let external_scheme = scheme.and_then(|item| item.read(parse_scheme)).unwrap_or_default();
    let tls = section.section("tls", &keys::TLS);
    let listeners = listeners(section, tls.is_written());
    check_scheme(external_scheme, scheme.as_ref(), &listeners, section);
    let path = |key| section.item(key).and_then(|item| surroundings.path(&item));
    let state_dir = path("state_dir").unwrap_or_else(|| PathBuf::from(STATE_DIR));
    let config = ServerConfig {
        listeners: listeners.into_iter().map(|listener| listener.value).collect(),
        external_scheme,
        prefix: section.item("prefix").and_then(|item| item.read(path::prefix)).unwrap_or_else(|| PREFIX.to_owned()),
        keys_dir: path("keys_dir").unwrap_or_else(|| state_dir.join("keys")),
        state_dir,
        trusted_proxies: trusted_proxies(section),
        pages_dir: path("pages_dir"),
        limits: limits(&section.section("limits", &keys::LIMITS)),
        certificates: certificates(&tls, surroundings),
        http2: tls.item("http2").and_then(|item| item.flag()).unwrap_or(true),
    };
    Server { config, scheme_place: scheme.map(|item| item.place()) }
}

/// `[admin] listen`
pub(super) fn admin(section: &Section<'_>) -> Vec<Address> {
    section.refuse_unknown_keys();
    let Some(item) = section.item("listen") else { return vec![Address::Tcp(([127, 0, 0, 1], 9090).into())] };
    item.elements().iter().filter_map(admin_address).collect()
}

fn admin_address(item: &Item<'_>) -> Option<Address> {
    let address = item.read(str::parse)?;
    match &address {
        Address::Unix(_) => {
            item.report(item.error("a unix socket for [admin] is not available in this version"));
            return None;
        }
        Address::Tcp(socket) if !socket.ip().is_loopback() => {
            let open = item.warning("metrics and status can be read from other machines");
            item.report(
                open.help("they are served in clear and to everyone: keep them on loopback or behind a firewall"),
            );
        }
        Address::Fd(_) | Address::Tcp(_) => {}
    }
    Some(address)
}

fn parse_scheme(text: &str) -> Result<Scheme, &'static str> {
    match text {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err("\"https\", or \"http\" where every listener is on loopback"),
    }
}

fn listeners(section: &Section<'_>, with_tls: bool) -> Vec<Located<ListenerConfig>> {
    let (listen, tables) = (section.item("listen"), section.sections("listener", &keys::LISTENER));
    if listen.is_none() && tables.is_empty() {
        let address = Address::Tcp(([127, 0, 0, 1], 8080).into());
        let value = ListenerConfig { address, tls: with_tls, mode: None };
        return vec![Located { value, place: section.place() }];
    }
    let short = listen.iter().flat_map(Item::elements).filter_map(|item| {
        let address = item.read(str::parse)?;
        Some(item.located(ListenerConfig { address, tls: with_tls, mode: None }))
    });
    let long = tables.iter().filter_map(|table| listener(table, with_tls));
    without_duplicates(short.chain(long), section)
}

fn listener(table: &Section<'_>, with_tls: bool) -> Option<Located<ListenerConfig>> {
    table.refuse_unknown_keys();
    let mode = table.item("mode");
    let tls = table.item("tls").and_then(|item| Some(item.located(item.flag()?)));
    let item = table.required("address")?;
    let address: Address = item.read(str::parse)?;
    if let Some(mode) = mode.filter(|_| !matches!(address, Address::Unix(_))) {
        mode.report(Diagnostic::error(&mode.key_place(), "`mode` is for unix sockets"));
    }
    if let Some(tls) = tls.as_ref().filter(|tls| tls.value && !with_tls) {
        let missing = Diagnostic::error(&tls.place, "this listener has no certificate");
        table.report().push(missing.help("name certificates in [server.tls]"));
    }
    let mode = mode.and_then(|item| item.mode());
    Some(item.located(ListenerConfig { address, tls: tls.map_or(with_tls, |tls| tls.value), mode }))
}

fn without_duplicates(
    listeners: impl Iterator<Item = Located<ListenerConfig>>,
    section: &Section<'_>,
) -> Vec<Located<ListenerConfig>> {
    let mut kept: Vec<Located<ListenerConfig>> = Vec::new();
    for listener in listeners {
        let earlier = kept.iter().find(|kept| is_same_socket(&kept.value.address, &listener.value.address));
        if let Some(earlier) = earlier {
            let twice = Diagnostic::error(&listener.place, format!("listens twice on {}", listener.value.address));
            section.report().push(twice.also(&earlier.place, "here first"));
        }
        kept.push(listener);
    }
    kept
}

/// Port 0 is a new port each time.
fn is_same_socket(a: &Address, b: &Address) -> bool {
    a == b && !matches!(a, Address::Tcp(socket) if socket.port() == 0)
}

/// Agents on other machines must not send their cookies in clear.
fn check_scheme(scheme: Scheme, item: Option<&Item<'_>>, listeners: &[Located<ListenerConfig>], section: &Section<'_>) {
    let (Scheme::Http, Some(item)) = (scheme, item) else { return };
    item.report(item.warning("agents use plain http: everyone on the way can read and take over their sessions"));
    for Located { value, place } in listeners {
        let problem = match &value.address {
            _ if value.tls => "this listener speaks TLS, so agents see https",
            Address::Tcp(socket) if !socket.ip().is_loopback() => "this listener can be reached from other machines",
            Address::Fd(_) => "a socket that systemd hands over may be reached from other machines",
            Address::Tcp(_) | Address::Unix(_) => continue,
        };
        let refused = Diagnostic::error(place, "`external_scheme` is \"http\" off loopback").label(problem);
        section.report().push(refused.also(&item.place(), "").help("\"http\" is for trials on one machine"));
    }
}

fn trusted_proxies(section: &Section<'_>) -> Vec<TrustedProxy> {
    let elements = section.item("trusted_proxies").iter().flat_map(Item::elements).collect::<Vec<_>>();
    elements.iter().filter_map(trusted_proxy).collect()
}

fn trusted_proxy(item: &Item<'_>) -> Option<TrustedProxy> {
    let proxy = item.read(parse_proxy)?;
    if matches!(proxy, TrustedProxy::Network(network) if network.prefix_len() == 0) {
        let everyone = item.warning("every client may say which address it comes from");
        item.report(everyone.help("name the networks of your proxies only"));
    }
    Some(proxy)
}

fn parse_proxy(text: &str) -> Result<TrustedProxy, &'static str> {
    if text == "unix" {
        return Ok(TrustedProxy::Unix);
    }
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map(TrustedProxy::Network).map_err(|_| "a network (\"10.0.0.0/8\"), an address, or \"unix\"")
}

fn limits(section: &Section<'_>) -> Limits {
    section.refuse_unknown_keys();
    let standard = Limits::default();
    Limits {
        head_timeout: section.duration("head_timeout", standard.head_timeout),
        keep_alive: section.duration("keep_alive", standard.keep_alive),
        max_connections: section.count("max_connections", standard.max_connections, 10_000_000),
        max_head: section.size("max_head", standard.max_head, 1 << 20),
        max_headers: section.count("max_headers", standard.max_headers, 256),
        max_request_line: section.size("max_request_line", standard.max_request_line, (1 << 16) - 1),
        min_body_rate: section.size("min_body_rate", standard.min_body_rate, 1 << 30),
        ..standard
    }
}

fn certificates(section: &Section<'_>, surroundings: &Surroundings) -> Vec<CertificateFiles> {
    if !section.is_written() {
        return Vec::new();
    }
    section.refuse_unknown_keys();
    let Some(item) = section.required("certificates") else { return Vec::new() };
    let elements = item.elements();
    if elements.is_empty() {
        item.report(item.error("`certificates` names no certificate"));
    }
    elements.iter().filter_map(|element| certificate(element, surroundings)).collect()
}

fn certificate(item: &Item<'_>, surroundings: &Surroundings) -> Option<CertificateFiles> {
    let section = item.section(&keys::CERTIFICATE)?;
    section.refuse_unknown_keys();
    let (cert, key) = (section.required("cert"), section.required("key"));
    let (cert, key) = (cert?, key?);
    let files = CertificateFiles { cert: surroundings.path(&cert)?, key: surroundings.path(&key)? };
    if let Err(error) = Certificates::load(std::slice::from_ref(&files)) {
        let place = match &error {
            TlsError::File { path, .. } if *path == files.key => key.place(),
            TlsError::File { .. } | TlsError::NoCertificate { .. } => cert.place(),
            _ => item.place(),
        };
        item.report(Diagnostic::error(&place, "this certificate cannot be used").label(error.to_string()));
    }
    Some(files)
}
