//! What a gateway is to do, gathered from the configuration of another product.

use url::Url;

use crate::oidc::Hints;

/// A host to be replaced, in a domain that never exists (RFC 2606).
pub(super) const SOME_HOST: &str = "application.example";
/// An issuer to be replaced.
const SOME_ISSUER: &str = "https://openid.example";

/// Everything that a draft says.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) server: Server,
    pub(super) client: Client,
    pub(super) session: Session,
    pub(super) store: Option<Store>,
    pub(super) identity: Identity,
    pub(super) routes: Vec<Route>,
    /// Options without an equivalent, and what to know of each.
    pub(super) left_out: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(super) struct Server {
    /// Addresses as ours are written, and whether TLS ends there.
    pub(super) listeners: Vec<(String, bool)>,
    /// The files of certificates and of their keys.
    pub(super) certificates: Vec<(String, String)>,
    /// Whether agents see plain http.
    pub(super) clear: bool,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) admin: Option<String>,
    pub(super) notes: Vec<String>,
}

/// The client of the provider, in the words of OpenID Connect registration.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) issuer: Option<String>,
    pub(super) client_id: Option<String>,
    /// The file that holds the secret already.
    pub(super) secret_file: Option<String>,
    pub(super) token_endpoint_auth_method: Option<&'static str>,
    pub(super) id_token_alg: Option<String>,
    pub(super) userinfo_alg: Option<String>,
    pub(super) scope: Vec<String>,
    pub(super) acr_values: Vec<String>,
    pub(super) hints: Hints,
    pub(super) redirect_path: Option<String>,
    pub(super) proxy: Option<String>,
    pub(super) ca_file: Option<String>,
    pub(super) notes: Vec<String>,
}

/// In seconds.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) idle: Option<u64>,
    pub(super) absolute: Option<u64>,
    pub(super) refresh_identity: Option<u64>,
    pub(super) notes: Vec<String>,
}

/// A Redis.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) urls: Vec<String>,
    pub(super) mode: &'static str,
    pub(super) master: Option<String>,
    pub(super) user: Option<String>,
    pub(super) has_password: bool,
    pub(super) ca_file: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) header_prefix: Option<String>,
    pub(super) encoding: Option<&'static str>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    pub(super) host: String,
    pub(super) path: String,
    pub(super) upstream: String,
    pub(super) silence_timeout: Option<u64>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) public: Vec<Public>,
    pub(super) allow: Vec<Block>,
    /// Rules that could not be read; where there is one, and no block, nobody is admitted.
    pub(super) unread_rules: Vec<String>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Public {
    pub(super) path: String,
    /// Empty: every usual one.
    pub(super) methods: Vec<String>,
}

/// Claims, each with the values of which an agent has one.
pub(super) type Block = Vec<(String, Vec<String>)>;

impl Draft {
    /// Notes an option that has no equivalent.
    pub(super) fn leave_out(&mut self, option: &str, why: &str) {
        self.left_out.push((option.to_owned(), why.to_owned()));
    }
}

impl Client {
    pub(super) fn issuer(&self) -> &str {
        self.issuer.as_deref().unwrap_or(SOME_ISSUER)
    }
}

/// How often the provider is asked who the agent is, where it was; ours asks once a minute at most.
pub(super) fn refresh_identity(seconds: Option<u64>, notes: &mut Vec<String>) -> Option<u64> {
    let seconds = seconds.filter(|seconds| *seconds > 0)?;
    notes.push("Identities are refreshed by userinfo, where the provider gives a refresh token.".to_owned());
    Some(seconds.max(60))
}

/// The origin of a URL of an application, without whatever name and password stand in it.
pub(super) fn origin(url: &Url) -> Option<String> {
    matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
}

/// The authority of a URL that agents see.
pub(super) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// A path as ours are written; none where it has a meaning of its own.
pub(super) fn path(text: &str) -> Option<String> {
    let trimmed = if text.len() > 1 { text.trim_end_matches('/') } else { text };
    let path = if trimmed.is_empty() { "/" } else { trimmed };
    path.parse::<crate::route::PathPrefix>().ok().map(|path| path.as_str().to_owned())
}

/// Whether everything under `inner` is under `outer`.
pub(super) fn is_under(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| outer.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

/// A server of Redis without its password, and whether it had one.
pub(super) fn redis_url(text: &str) -> Option<(String, bool)> {
    let full = if text.contains("://") { text.to_owned() } else { format!("redis://{text}") };
    let mut url = Url::parse(&full).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host())?;
    let had_password = url.password().is_some();
    url.set_password(None).ok()?;
    url.set_username("").ok()?;
    url.set_query(None);
    Some((url.to_string(), had_password))
}
