//! The configuration of a gateway under test, written as the TOML that an operator would write.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The client secret of every test: long enough for AgentConnect, easy to look for where it must not be.
pub const CLIENT_SECRET: &str = "8b1c3f8e5d7a4c0f9a2e6d4b7c1f0a3e-client-secret";
/// The client identifier of every test.
pub const CLIENT_ID: &str = "6925fb8143c76eded44d32b40c0cb1006065f7f003de52712b78985704f39950";

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, which is its audience too unless a line says otherwise.
    pub name: String,
    /// The authority that agents see.
    pub host: String,
    /// The provider of its host; the default one where none.
    pub provider: Option<String>,
    /// The path prefix.
    pub path: String,
    /// The upstreams' origins.
    pub upstreams: Vec<String>,
    /// The claims released; all of them where none.
    pub claims: Option<Vec<String>>,
    /// More names for claims.
    pub headers: Vec<(String, String)>,
    /// `request`, `assertion`, both or neither.
    pub sign: Vec<&'static str>,
    /// The secret of `hmac-sha256` signatures.
    pub hmac_key: Option<Vec<u8>>,
    lines: Vec<String>,
    blocks: Vec<String>,
}

impl Route {
    /// A route for the whole of `host`, signed both ways.
    pub fn new(name: &str, host: &str, upstream: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            provider: None,
            path: "/".to_owned(),
            upstreams: vec![upstream.to_owned()],
            claims: None,
            headers: Vec::new(),
            sign: vec!["request", "assertion"],
            hmac_key: None,
            lines: Vec::new(),
            blocks: Vec::new(),
        }
    }

    /// The same under this path prefix.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same, whose agents log in at this provider.
    #[must_use]
    pub fn at_provider(mut self, name: &str) -> Self {
        self.provider = Some(name.to_owned());
        self
    }

    /// Releases these claims only.
    pub fn release(&mut self, claims: &[&str]) -> &mut Self {
        self.claims = Some(claims.iter().map(|claim| (*claim).to_owned()).collect());
        self
    }

    /// Whether the application receives a claim.
    pub fn releases(&self, claim: &str) -> bool {
        self.claims.as_ref().is_none_or(|claims| claims.iter().any(|released| released == claim))
    }

    /// Adds a key of the route as a line of TOML.
    pub fn line(&mut self, line: impl Into<String>) -> &mut Self {
        self.lines.push(line.into());
        self
    }

    /// Admits `path` without a session.
    pub fn public(&mut self, path: &str, methods: &[&str]) -> &mut Self {
        self.blocks.push(format!("[[route.public]]\npath = {path:?}\nmethods = {methods:?}\n"));
        self
    }

    /// Adds a `[[route.allow]]` or `[[route.deny]]` block made of these lines.
    pub fn block(&mut self, kind: &str, lines: &str) -> &mut Self {
        self.blocks.push(format!("[[route.{kind}]]\n{lines}\n"));
        self
    }

    /// Lists the application in the portal, as these lines say.
    pub fn listed(&mut self, lines: &str) -> &mut Self {
        self.blocks.push(format!("[route.portal]\n{lines}\n"));
        self
    }

    fn to_toml(&self) -> String {
        let Self { name, host, path, upstreams, sign, .. } = self;
        let mut toml = format!("[[route]]\nname = {name:?}\nhost = {host:?}\npath = {path:?}\n");
        let _ = writeln!(toml, "upstream = {upstreams:?}\nsign = {sign:?}");
        if let Some(provider) = &self.provider {
            let _ = writeln!(toml, "provider = {provider:?}");
        }
        if let Some(claims) = &self.claims {
            let _ = writeln!(toml, "claims = {claims:?}");
        }
        if !self.headers.is_empty() {
            let pairs: Vec<String> = self.headers.iter().map(|(name, claim)| format!("{name:?} = {claim:?}")).collect();
            let _ = writeln!(toml, "headers = {{ {} }}", pairs.join(", "));
        }
        for text in self.lines.iter().chain(&self.blocks) {
            let _ = writeln!(toml, "{text}");
        }
        toml
    }
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Site {
    /// The routes in file order.
    pub routes: Vec<Route>,
    /// `[provider] scope`.
    pub scope: Vec<String>,
    /// `[identity] encoding`.
    pub encoding: &'static str,
    /// `[identity] header_prefix`.
    pub header_prefix: String,
    /// The provider's issuer.
    pub issuer: String,
    /// Other keys by section, as TOML.
    settings: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl Site {
    /// A site without routes, whose provider is at `issuer`.
    pub fn new(issuer: &str) -> Self {
        let scope = ["openid", "given_name", "usual_name", "email", "uid", "siret", "idp_id"];
        Self {
            routes: Vec::new(),
            scope: scope.map(str::to_owned).to_vec(),
            encoding: "percent",
            header_prefix: "X-Agent-".to_owned(),
            issuer: issuer.to_owned(),
            settings: BTreeMap::new(),
        }
    }

    /// Sets `key` of `section` to a value written in TOML.
    pub fn set(&mut self, section: &'static str, key: &str, toml: &str) -> &mut Self {
        self.settings.entry(section).or_default().insert(key.to_owned(), toml.to_owned());
        self
    }

    /// Takes a whole section away.
    pub fn forget(&mut self, section: &str) -> &mut Self {
        self.settings.remove(section);
        self
    }

    /// Asks for one more scope.
    pub fn ask_for(&mut self, scope: &str) -> &mut Self {
        self.scope.push(scope.to_owned());
        self
    }

    /// The route called `name`.
    pub fn route(&mut self, name: &str) -> &mut Route {
        self.routes.iter_mut().find(|route| route.name == name).expect("a route of this name")
    }

    /// The route of a request that reached an upstream.
    pub fn route_of(&self, host: &str, path: &str) -> Option<&Route> {
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|r| prefix.ends_with('/') || r.is_empty() || r.starts_with('/'))
        };
        let candidates = self.routes.iter().filter(|route| route.host == host && under(&route.path));
        candidates.max_by_key(|route| route.path.len())
    }

    /// Adds `[providers.NAME]` (`section` is that without brackets), another client of ours at `issuer`.
    pub fn another_provider(&mut self, section: &'static str, issuer: &str) -> &mut Self {
        self.set(section, "issuer", &format!("{issuer:?}")).set(section, "client_id", &format!("{CLIENT_ID:?}")).set(
            section,
            "client_secret",
            &format!("{{ value = {CLIENT_SECRET:?} }}"),
        )
    }

    /// Has the agents of every host of the default provider log in at `host`.
    pub fn log_in_at(&mut self, host: &str) -> &mut Self {
        self.set("login", "host", &format!("{host:?}"))
    }

    /// The authorities to register at a provider: the login host alone, where there is one.
    pub fn registered(&self, provider: Option<&str>) -> Vec<String> {
        let login_host = match provider {
            None => self.settings.get("login").and_then(|login| login.get("host")),
            Some(name) => {
                let section = self.settings.get(format!("providers.{name}").as_str());
                section.and_then(|provider| provider.get("login_host"))
            }
        };
        match login_host {
            Some(host) => vec![host.trim_matches('"').to_owned()],
            None => self.hosts(provider).into_iter().map(str::to_owned).collect(),
        }
    }

    /// The authorities whose agents log in at a provider, each once.
    pub fn hosts(&self, provider: Option<&str>) -> Vec<&str> {
        let routes = self.routes.iter().filter(|route| route.provider.as_deref() == provider);
        let mut hosts: Vec<&str> = routes.map(|route| route.host.as_str()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    /// The configuration file, with its folders under `folder`.
    pub fn to_toml(&self, folder: &Path) -> String {
        let mut settings = self.defaults(folder);
        for (section, keys) in &self.settings {
            settings.entry(section).or_default().extend(keys.clone());
        }
        let mut toml = String::new();
        for (section, keys) in &settings {
            let _ = writeln!(toml, "[{section}]");
            for (key, value) in keys {
                let _ = writeln!(toml, "{key} = {value}");
            }
        }
        for route in &self.routes {
            toml.push_str(&route.to_toml());
        }
        toml
    }

    fn defaults(&self, folder: &Path) -> BTreeMap<&'static str, BTreeMap<String, String>> {
        let section = |keys: &[(&str, String)]| keys.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        BTreeMap::from([
            (
                "server",
                section(&[
                    ("listen", r#"["127.0.0.1:0"]"#.to_owned()),
                    ("state_dir", format!("{:?}", folder.join("state"))),
                    ("keys_dir", format!("{:?}", folder.join("keys"))),
                ]),
            ),
            ("admin", section(&[("listen", r#"["127.0.0.1:0"]"#.to_owned())])),
            (
                "provider",
                section(&[
                    ("issuer", format!("{:?}", self.issuer)),
                    ("client_id", format!("{CLIENT_ID:?}")),
                    ("client_secret", format!("{{ value = {CLIENT_SECRET:?} }}")),
                    ("scope", format!("{:?}", self.scope)),
                ]),
            ),
            (
                "identity",
                section(&[
                    ("header_prefix", format!("{:?}", self.header_prefix)),
                    ("encoding", format!("{:?}", self.encoding)),
                ]),
            ),
        ])
    }
}
