//! A provider: in reach, what it says it is, with what the client was registered for, and at the same time of day.

use serde_json::{Map, Value};
use tokio::runtime::Builder;
use url::Url;

use super::{Finding, network};
use crate::clock::Clock;
use crate::oidc::{
    AuthorizationAnswer, LoginError, MetadataError, Provider, ProviderError, Settings, TokenEndpointAuthMethod,
};
use crate::secret::Secret;

/// Beyond it tokens are refused; half of it is worth a word.
const SKEW: u64 = 60;
/// A code that no provider gave.
const NO_CODE: &str = "portillon-doctor-asks-whether-the-client-is-known";

pub(super) fn examine(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let about = &format!("provider {}", settings.issuer);
    let way = way(about, settings);
    if !way.is_empty() {
        return way;
    }
    let ready =
        Provider::new(with_a_secret(settings), None, clock.clone()).map_err(|error| error.to_string()).and_then(
            |provider| Ok((provider, Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?)),
        );
    let (provider, runtime) = match ready {
        Ok(ready) => ready,
        Err(error) => return vec![Finding::fault("provider_settings", about, error, "correct its table")],
    };
    let refreshed = runtime.block_on(provider.refresh());
    let mut findings: Vec<Finding> = clock_offset(about, provider.status().clock_offset).into_iter().collect();
    if let Err(error) = refreshed {
        findings.push(unusable(about, &error));
        return findings;
    }
    findings.push(Finding::fine("discovery", about, "its metadata and keys are what they should be"));
    let published = provider.published().unwrap_or_default();
    findings.extend(offers(about, settings, &published));
    findings.push(client(about, settings, || runtime.block_on(redeem(&provider))));
    findings
}

/// The settings, with some secret where only the unit can read it: it is sent nowhere.
fn with_a_secret(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    if settings.client_secret.expose().is_empty() {
        settings.client_secret = Secret::new("0".repeat(64));
    }
    settings
}

/// The way there: the outbound proxy, or the provider itself. Empty where nothing is in it.
fn way(about: &str, settings: &Settings) -> Vec<Finding> {
    let issuer = Url::parse(&settings.issuer).ok();
    let (about, url, codes) = match &settings.proxy {
        Some(proxy) => (format!("proxy {proxy}"), Some(proxy.clone()), ["proxy_unresolved", "proxy_unreachable"]),
        None => (about.to_owned(), issuer, ["provider_unresolved", "provider_unreachable"]),
    };
    let Some((host, port)) = url.as_ref().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?))) else {
        return Vec::new();
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses = match network::resolve(host, port) {
        Ok(addresses) => addresses,
        Err(error) => {
            let help =
                "see /etc/resolv.conf; where names of the outside do not resolve, `proxy` in its table leads there";
            return vec![Finding::fault(codes[0], &about, format!("{host} does not resolve: {error}"), help)];
        }
    };
    match network::connect(&addresses, network::PATIENCE) {
        Ok(_) => Vec::new(),
        Err(error) => {
            let help = "open the firewall to it, or name the outbound proxy in `proxy`";
            vec![Finding::fault(codes[1], &about, format!("no connection to {host}:{port}: {error}"), help)]
        }
    }
}

fn unusable(about: &str, error: &ProviderError) -> Finding {
    let (code, help) = match error {
        ProviderError::Call { .. } | ProviderError::CoolingDown(_) => (
            "discovery_failed",
            "try `curl` on the issuer with /.well-known/openid-configuration behind it; where its certificate is refused, \
             `ca_file` names who signs it",
        ),
        ProviderError::JwksMalformed => ("jwks_malformed", "tell the provider: its jwks_uri is no JWK Set"),
        ProviderError::Keys(_) => (
            "algorithm_without_key",
            "write the algorithms that the client was registered with: id_token_signed_response_alg, \
             userinfo_signed_response_alg",
        ),
        ProviderError::Metadata(MetadataError::Issuer) => {
            ("issuer_mismatch", "write `issuer` exactly as the metadata say it, to the last slash")
        }
        ProviderError::Metadata(_) => {
            ("metadata_refused", "tell the provider: every endpoint is on the issuer's origin")
        }
    };
    Finding::fault(code, about, error.to_string(), help)
}

fn clock_offset(about: &str, seconds: Option<i64>) -> Option<Finding> {
    let seconds = seconds?;
    let message = format!("its clock is {seconds} s from the one of this machine");
    let help = "let chrony or systemd-timesyncd set the clock: `timedatectl`";
    Some(match seconds.unsigned_abs() {
        far if far > SKEW => Finding::fault("clock_wrong", about, message, help),
        near if near > SKEW / 4 => Finding::advice("clock_drifts", about, message, help),
        _ => Finding::fine("clock", about, message),
    })
}

/// What the metadata offer against what the configuration needs; what they are silent about is not judged.
fn offers(about: &str, settings: &Settings, published: &Map<String, Value>) -> Vec<Finding> {
    let lacks = |name: &str, wanted: &str| {
        let offered = published.get(name).and_then(Value::as_array);
        offered.is_some_and(|offered| !offered.iter().any(|value| value.as_str() == Some(wanted)))
    };
    let fault = |code, name: &str, wanted: &str, help: &str| {
        lacks(name, wanted).then(|| Finding::fault(code, about, format!("{name} is without {wanted}"), help))
    };
    let algorithm = "write the algorithm that the client was registered with";
    let mut findings: Vec<Option<Finding>> = vec![
        fault(
            "id_token_algorithm",
            "id_token_signing_alg_values_supported",
            &settings.id_token_signed_response_alg.to_string(),
            algorithm,
        ),
        settings.userinfo_signed_response_alg.and_then(|alg| {
            fault("userinfo_algorithm", "userinfo_signing_alg_values_supported", &alg.to_string(), algorithm)
        }),
        fault(
            "token_endpoint_auth_method",
            "token_endpoint_auth_methods_supported",
            match settings.token_endpoint_auth_method {
                TokenEndpointAuthMethod::ClientSecretBasic => "client_secret_basic",
                TokenEndpointAuthMethod::ClientSecretPost => "client_secret_post",
            },
            "set token_endpoint_auth_method to the one that the client was registered with",
        ),
        fault("no_pkce", "code_challenge_methods_supported", "S256", "the provider cannot be used without PKCE"),
    ];
    findings.extend(settings.acr_values.iter().map(|acr| {
        fault(
            "acr_unknown",
            "acr_values_supported",
            acr,
            "levels are matched exactly: correct or drop it in acr_values",
        )
    }));
    findings.extend(settings.scope.iter().filter(|scope| lacks("scopes_supported", scope)).map(|scope| {
        let help = "see whether the client was granted it; a scope that was not fails every login";
        Some(Finding::advice("scope_unknown", about, format!("scopes_supported is without {scope}"), help))
    }));
    if !published.contains_key("end_session_endpoint") {
        let message = "it has no end_session_endpoint: a logout ends sessions here and none there";
        let help = "agents who log out are logged in again without a question: tell them to close the browser";
        findings.push(Some(Finding::advice("no_logout", about, message, help)));
    }
    findings.into_iter().flatten().collect()
}

/// A code that nobody gave is refused by a provider that knows the client: whether it is refused as such tells whether
/// identifier and secret are right (RFC 6749 section 5.2).
fn client(about: &str, settings: &Settings, redeemed: impl FnOnce() -> Result<(), LoginError>) -> Finding {
    if settings.client_secret.expose().is_empty() {
        let message = "the secret cannot be read here, so whether it is right was not asked";
        let help = "only the unit gets its credentials: run the doctor in it, `systemd-run -p LoadCredential=…`";
        return Finding::advice("secret_unread", about, message, help);
    }
    match redeemed() {
        Err(LoginError::TokenEndpoint { error }) if error == "invalid_client" || error == "http_401" => {
            let help = "compare client_id, client_secret and token_endpoint_auth_method with the registration; a client is \
                        known in one environment only";
            Finding::fault("client_refused", about, "it does not accept the client's identifier and secret", help)
        }
        Err(LoginError::TokenEndpoint { error }) if error == "invalid_grant" => {
            Finding::fine("client", about, "it knows the client and its secret")
        }
        Err(LoginError::TokenEndpoint { error }) if error == "unauthorized_client" => {
            let help = "have the client registered for the grant authorization_code";
            Finding::fault("client_unauthorized", about, "the client may not redeem codes", help)
        }
        Err(error) => {
            let help = "look at the logs of the provider for this request";
            Finding::advice(
                "token_endpoint",
                about,
                format!("a request with a wrong code was answered oddly: {error}"),
                help,
            )
        }
        Ok(()) => Finding::advice("token_endpoint", about, "a wrong code was accepted", "do not use this provider"),
    }
}

async fn redeem(provider: &Provider) -> Result<(), LoginError> {
    let answer = AuthorizationAnswer { code: NO_CODE, iss: Some(&provider.settings().issuer) };
    provider.redeem(&answer, "https://doctor.invalid/", NO_CODE, NO_CODE, None).await.map(drop)
}
