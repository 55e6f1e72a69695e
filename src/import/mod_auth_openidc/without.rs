//! What to know of directives without an equivalent.

/// In lower case; a name that ends with `*` is a family.
const WITHOUT: [(&str, &str); 24] = [
    ("oidccache*", "there is no cache to set up; [store] keeps what outlives a cookie"),
    ("oidccookie*", "cookies have names and attributes of their own: __Host-, Secure, Lax"),
    ("oidccryptopassphrase", "the first start makes sealing keys in keys_dir: `portillon keys list`"),
    ("oidcdefaultloggedouturl", "agents see the signed-out page of the gateway"),
    ("oidcdefaulturl", "agents come back to the page that they asked for"),
    (
        "oidcidtokenrefreshinterval",
        "refresh_identity of [session] asks userinfo again; the ID token stays that of the login",
    ),
    ("oidcinfohook", "/.portillon/me tells agents who they are"),
    ("oidcmetadatadir", "each provider is a [providers.NAME] of the configuration"),
    ("oidcpassaccesstoken", "applications do not receive tokens; they get an assertion, a JWT of the gateway"),
    ("oidcpassidtokenas", "applications do not receive tokens; they get an assertion, a JWT of the gateway"),
    ("oidcpassrefreshtoken", "applications do not receive tokens; they get an assertion, a JWT of the gateway"),
    ("oidcpassuserinfoas", "each claim has a header of its own"),
    ("oidcpathscope", "the scope is that of the provider, for every path"),
    ("oidcpkcemethod", "PKCE with S256 is always used"),
    ("oidcpreservepost", "forms are kept across a login: [stash]"),
    ("oidcproviderbackchannellogoutsupported", "backchannel_logout = true of [provider], once it is registered there"),
    ("oidcproviderrevocationendpoint", "a logout revokes the refresh token there, as the provider's metadata say"),
    ("oidcprovider*", "the provider's metadata says it"),
    ("oidcrefresh*", "applications do not receive tokens; refresh_identity of [session] keeps identities true"),
    ("oidcresponsetype", "the authorization code flow is the only one"),
    ("oidcsessiontype", "sessions are sealed in cookies"),
    ("oidcsslvalidateserver", "certificates are always verified: name a private CA in ca_file of [provider]"),
    ("oidcstate*", "the cookies of logins are bounded by the gateway"),
    ("oidcunauthaction", "whether a login, a page or a 401 answers is seen from the request itself"),
];

pub(super) fn why(name: &str) -> &'static str {
    let is_it = |known: &str| known.strip_suffix('*').map_or(known == name, |family| name.starts_with(family));
    let known = WITHOUT.iter().find(|(known, _)| is_it(known)).map(|(_, why)| *why);
    known.unwrap_or("not known to this import; look it up in the documentation of both")
}

/// A directive as administrators write it, as near as its lower case allows.
pub(super) fn written(name: &str) -> String {
    name.strip_prefix("oidc").map_or_else(|| name.to_owned(), |rest| format!("OIDC{rest}"))
}
