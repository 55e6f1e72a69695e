//! Mistakes that everybody makes once: none of them is an error, each makes a bad day.

use std::time::Duration;

use super::Finding;
use crate::config::Config;
use crate::http_ext::TrustedProxy;
use crate::listener::Address;
use crate::oidc::Preset;
use crate::route::Scheme;

const SHORT: Duration = Duration::from_secs(15 * 60);
/// AgentConnect's own session.
const LONG: Duration = Duration::from_secs(12 * 3600);

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let (idle, absolute) = (config.session.lifetime.idle, config.session.lifetime.absolute);
    let mut findings = trusted_proxies(config);
    if idle < SHORT {
        let message = "agents who read for a quarter of an hour have to log in again";
        findings.push(Finding::advice("idle_short", "[session] idle", message, "\"60m\" is the default"));
    }
    let at_agentconnect = config.providers.iter().any(|provider| provider.settings.preset == Preset::AgentConnect);
    if absolute > LONG && at_agentconnect {
        let message = "sessions here outlive those at AgentConnect, which last 12 hours";
        findings.push(Finding::advice("absolute_long", "[session] absolute", message, "\"12h\" is the default"));
    }
    findings.extend(config.routes.iter().filter(|route| !route.sign_request && !route.sign_assertion).map(|route| {
        let message = "nothing proves to the application that a request passed the gateway: whoever reaches it directly is \
                       whom they say";
        let help = "sign = [\"request\", \"assertion\"], verified by the application; or let only the gateway reach it";
        Finding::advice("unsigned", &format!("route {}", route.name), message, help)
    }));
    findings
}

fn trusted_proxies(config: &Config) -> Vec<Finding> {
    let server = &config.server;
    let about = "[server] trusted_proxies";
    let everyone = |proxy: &TrustedProxy| matches!(proxy, TrustedProxy::Network(network) if network.prefix_len() == 0);
    if server.trusted_proxies.iter().any(everyone) {
        let message = "every client is believed about the address that it comes from";
        return vec![Finding::fault("trusts_everyone", about, message, "name the networks of your proxies only")];
    }
    let behind_terminator =
        server.external_scheme == Scheme::Https && server.listeners.iter().all(|listener| !listener.tls);
    if behind_terminator && server.trusted_proxies.is_empty() {
        let message = "TLS ends in front of the gateway, and the one that ends it is not believed: logs show its address for \
                       every agent";
        let help = "name its address or network, or \"unix\" where it connects to a unix socket";
        return vec![Finding::advice("trusts_nobody", about, message, help)];
    }
    let has_unix =
        server.listeners.iter().any(|listener| matches!(listener.address, Address::Unix(_) | Address::Fd(_)));
    if server.trusted_proxies.contains(&TrustedProxy::Unix) && !has_unix {
        let message = "\"unix\" is believed, and no listener is a unix socket";
        return vec![Finding::advice("trusts_no_socket", about, message, "name the network of the proxy in its place")];
    }
    Vec::new()
}
