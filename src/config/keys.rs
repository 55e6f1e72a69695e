//! Every key of the configuration, by table: those that work, and those that a later version will bring.
//!
//! A key of a feature that is not built yet is an error that says so; to accept and ignore it would let an administrator
//! believe in a protection that is not there.

/// A kind of table in the configuration.
#[derive(Debug)]
pub(super) struct Table {
    /// As messages name it.
    pub(super) name: &'static str,
    /// The keys that work.
    pub(super) keys: &'static [&'static str],
    /// The keys that a later version will bring.
    pub(super) later: &'static [&'static str],
}

pub(super) static ROOT: Table = Table {
    name: "the configuration",
    keys: &[
        "admin",
        "audit",
        "identity",
        "log",
        "login",
        "provider",
        "providers",
        "route",
        "rules",
        "server",
        "session",
        "signing",
        "stash",
        "store",
    ],
    later: &[],
};

/// The whole of a file in `routes.d`.
pub(super) static ROUTE_FILE: Table = Table { name: "a file of routes.d", keys: &["route"], later: &[] };

pub(super) static SERVER: Table = Table {
    name: "[server]",
    keys: &[
        "external_scheme",
        "keys_dir",
        "limits",
        "listen",
        "listener",
        "pages_dir",
        "prefix",
        "state_dir",
        "tls",
        "trusted_proxies",
    ],
    later: &["proxy_protocol"],
};

pub(super) static LISTENER: Table = Table {
    name: "[[server.listener]]",
    keys: &["address", "mode", "tls"],
    later: &["client_ca_file", "group", "owner", "proxy_protocol"],
};

pub(super) static TLS: Table =
    Table { name: "[server.tls]", keys: &["certificates", "http2"], later: &["acme", "client_ca_file"] };

pub(super) static CERTIFICATE: Table = Table { name: "a certificate", keys: &["cert", "key"], later: &[] };

pub(super) static LIMITS: Table = Table {
    name: "[server.limits]",
    keys: &[
        "head_timeout",
        "keep_alive",
        "max_connections",
        "max_head",
        "max_headers",
        "max_request_line",
        "min_body_rate",
    ],
    later: &[],
};

pub(super) static ADMIN: Table = Table { name: "[admin]", keys: &["listen"], later: &[] };

const PROVIDER_KEYS: &[&str] = &[
    "acr_values",
    "backchannel_logout",
    "ca_file",
    "client_id",
    "client_secret",
    "environment",
    "frontchannel_logout",
    "id_token_signed_response_alg",
    "idp_hint",
    "issuer",
    "link_hints",
    "login_hint",
    "login_host",
    "max_age",
    "post_logout_redirect_path",
    "preset",
    "prompt",
    "proxy",
    "redirect_path",
    "scope",
    "siret_hint",
    "token_endpoint_auth_method",
    "userinfo_signed_response_alg",
];

pub(super) static PROVIDER: Table = Table { name: "[provider]", keys: PROVIDER_KEYS, later: &[] };

/// Its keys are the names of providers.
pub(super) static PROVIDERS: Table = Table { name: "[providers.NAME]", keys: &[], later: &[] };

pub(super) static NAMED_PROVIDER: Table = Table { name: "[providers.NAME]", keys: PROVIDER_KEYS, later: &[] };

pub(super) static LOGIN: Table = Table { name: "[login]", keys: &["host"], later: &[] };

/// `{ credential = … }`, `{ file = … }`, `{ env = … }` or `{ value = … }`.
pub(super) static SECRET: Table = Table { name: "a secret", keys: &["credential", "env", "file", "value"], later: &[] };

pub(super) static SESSION: Table =
    Table { name: "[session]", keys: &["absolute", "idle", "max_per_agent", "refresh_identity"], later: &[] };

pub(super) static STORE: Table = Table {
    name: "[store]",
    keys: &["ca_file", "kind", "master", "mode", "on_store_failure", "password", "prefix", "staleness", "url", "user"],
    later: &[],
};

pub(super) static IDENTITY: Table =
    Table { name: "[identity]", keys: &["encoding", "header_prefix", "required"], later: &[] };

pub(super) static SIGNING: Table =
    Table { name: "[signing]", keys: &["algorithm", "assertion_lifetime", "lifetime"], later: &[] };

pub(super) static STASH: Table =
    Table { name: "[stash]", keys: &["automatic", "enabled", "keep", "max_size", "max_total"], later: &[] };

pub(super) static AUDIT: Table = Table { name: "[audit]", keys: &["agents", "to"], later: &[] };

pub(super) static LOG: Table = Table { name: "[log]", keys: &["format"], later: &[] };

pub(super) static ROUTE: Table = Table {
    name: "[[route]]",
    keys: &[
        "allow",
        "audience",
        "claims",
        "connect_timeout",
        "contact",
        "deny",
        "headers",
        "hmac_key",
        "host",
        "idp_hint",
        "link_hints",
        "login_hint",
        "logout_paths",
        "max_age",
        "max_body",
        "name",
        "path",
        "portal",
        "prompt",
        "provider",
        "public",
        "rules",
        "sign",
        "signature_algorithm",
        "silence_timeout",
        "siret_hint",
        "upstream",
        "upstream_ca_file",
        "upstream_server_name",
    ],
    later: &[],
};

pub(super) static PORTAL: Table =
    Table { name: "[route.portal]", keys: &["description", "icon", "name", "start"], later: &[] };

/// Header names and the claims that they hold.
pub(super) static HEADERS: Table = Table { name: "headers", keys: &[], later: &[] };

pub(super) static PUBLIC: Table = Table { name: "[[route.public]]", keys: &["methods", "path"], later: &[] };

/// `[[route.allow]]`; every other key is a condition.
pub(super) static ALLOW: Table = Table { name: "[[route.allow]]", keys: &["reason"], later: &[] };

/// `[[route.deny]]`; every other key is a condition.
pub(super) static DENY: Table = Table { name: "[[route.deny]]", keys: &["reason"], later: &[] };

/// Its keys are the names of sets of rules.
pub(super) static RULE_SETS: Table = Table { name: "[rules.NAME]", keys: &[], later: &[] };

pub(super) static RULE_SET: Table = Table { name: "[rules.NAME]", keys: &["allow", "deny"], later: &[] };

/// `[[rules.NAME.allow]]`; every other key is a condition.
pub(super) static SET_ALLOW: Table = Table { name: "[[rules.NAME.allow]]", keys: &["reason"], later: &[] };

/// `[[rules.NAME.deny]]`; every other key is a condition.
pub(super) static SET_DENY: Table = Table { name: "[[rules.NAME.deny]]", keys: &["reason"], later: &[] };

/// `not = { … }`; every key is a condition.
pub(super) static NOT: Table = Table { name: "not", keys: &[], later: &[] };

/// `custom = { … }`; every key is the name of a member.
pub(super) static MEMBERS: Table = Table { name: "a claim that is an object", keys: &[], later: &[] };

pub(super) static VALUES: Table = Table { name: "a file of values", keys: &["file"], later: &[] };

pub(super) static TIME: Table = Table { name: "time", keys: &["days", "hours", "zone"], later: &[] };

/// The whole of a file of cases.
pub(super) static CASES: Table = Table { name: "a file of cases", keys: &["agents", "case"], later: &[] };

/// Its keys are the names of agents.
pub(super) static AGENTS: Table = Table { name: "[agents.NAME]", keys: &[], later: &[] };

pub(super) static CASE: Table = Table {
    name: "[[case]]",
    keys: &["agent", "at", "client_address", "expect", "name", "reason", "request", "route"],
    later: &[],
};
