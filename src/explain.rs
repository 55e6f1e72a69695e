//! What the gateway would do with a request, and why: from the configuration alone, by the rules and tables that it
//! decides by itself. The store, and whether anything can be reached, is out of sight here.

use std::collections::HashMap;
use std::net::IpAddr;

use http::Method;

use crate::clock::Timestamp;
use crate::config::{Config, RouteConfig};
use crate::identity::{Claims, IdentityHeaders};
use crate::logout::is_logout;
use crate::oidc::Levels;
use crate::policy::{Circumstances, Examined, Facts, PublicRule, Refusal};
use crate::route::{Authority, Lookup, PageUrl, RequestPath, Table};
use crate::signature::Component;

mod agent;
mod json;
mod text;

pub use agent::{Agent, AgentError, add_claim};
pub use json::json;
pub use text::{Paint, text};

/// A request, and who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// By which method.
    pub method: &'q Method,
    /// What for.
    pub url: &'q PageUrl,
    /// Who asks; none: nobody is logged in.
    pub agent: Option<&'q Claims>,
    /// From where.
    pub client: Option<IpAddr>,
    /// When.
    pub now: Timestamp,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The application answers the agent.
    Allow,
    /// 400: its path can be read in two ways, and something depends on it.
    AmbiguousPath,
    /// The agent logs in first; a script gets 401.
    Login,
    /// 404: the host is known, and no route holds the path.
    NoRoute,
    /// The gateway itself answers: the path is one of its own.
    Own,
    /// The application answers, and does not learn who asks.
    Public,
    /// 403: the rules do not admit the agent.
    Refuse,
    /// The agent goes back to the provider first, for a level that the rules want; a script gets 403.
    StepUp,
    /// 421: no route has this host.
    UnknownSite,
}

/// What becomes of a request, and everything that led there.
#[derive(Debug)]
pub struct Answer<'a> {
    /// What becomes of it.
    pub outcome: Outcome,
    /// The routes of the host, longest path first.
    pub candidates: Vec<&'a RouteConfig>,
    /// The route that it takes.
    pub route: Option<&'a RouteConfig>,
    /// The public rule that lets it pass.
    pub public: Option<&'a PublicRule>,
    /// Every block of the route, where an agent is there to be judged.
    pub examined: Vec<Examined<'a>>,
    /// What the agent is told.
    pub reasons: Vec<&'a str>,
    /// The levels that the agent is sent back to the provider for.
    pub step_up: Option<Levels>,
    /// What the application gets to see, where it does.
    pub forwarded: Option<Forwarded<'a>>,
}

/// What the application gets to see.
#[derive(Debug)]
pub struct Forwarded<'a> {
    /// The identity headers and their values, but for what is made for each session and request.
    pub headers: Vec<(String, String)>,
    /// What the signature covers; empty where there is none.
    pub covered: Vec<String>,
    /// The route.
    pub route: &'a RouteConfig,
}

/// Answers questions about a configuration.
pub struct Explainer<'c> {
    config: &'c Config,
    routes: Table<&'c RouteConfig>,
    hosts: HashMap<&'c str, Vec<&'c RouteConfig>>,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 9] = [
        Self::Allow,
        Self::Public,
        Self::Refuse,
        Self::StepUp,
        Self::Login,
        Self::Own,
        Self::NoRoute,
        Self::AmbiguousPath,
        Self::UnknownSite,
    ];

    /// The word for it in files and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AmbiguousPath => "ambiguous_path",
            Self::Login => "login",
            Self::NoRoute => "no_route",
            Self::Own => "own",
            Self::Public => "public",
            Self::Refuse => "refuse",
            Self::StepUp => "step_up",
            Self::UnknownSite => "unknown_site",
        }
    }

    /// Whether whoever asks gets what they ask for.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow | Self::Own | Self::Public)
    }
}

impl<'c> Explainer<'c> {
    /// Answers questions about `config`.
    #[must_use]
    pub fn new(config: &'c Config) -> Self {
        let (mut routes, mut hosts) = (Table::default(), HashMap::<&str, Vec<&RouteConfig>>::new());
        for route in &config.routes {
            routes.insert(route.authority.clone(), &route.path, route.reads_path(), route);
            hosts.entry(route.authority.as_str()).or_default().push(route);
        }
        hosts.values_mut().for_each(|of| of.sort_by_key(|route| std::cmp::Reverse(route.path.as_str().len())));
        Self { config, routes, hosts }
    }

    /// What becomes of a request. The order is the gateway's own: host, endpoints of ours, route, public rules, agent,
    /// rules.
    #[must_use]
    pub fn answer(&self, question: &Question<'_>) -> Answer<'c> {
        let path = RequestPath::new(&question.url.path);
        let Some((host, candidates)) = self.host(&question.url.authority) else {
            return Answer::of(Outcome::UnknownSite);
        };
        let answer = Answer { candidates: candidates.to_vec(), ..Answer::of(Outcome::Own) };
        if let Some(outcome) = self.own(&host, candidates, &path) {
            return Answer { outcome, ..answer };
        }
        match self.routes.lookup(host.as_str(), &path) {
            Lookup::AmbiguousPath => Answer { outcome: Outcome::AmbiguousPath, ..answer },
            Lookup::NoRoute(_) | Lookup::UnknownAuthority => Answer { outcome: Outcome::NoRoute, ..answer },
            Lookup::Route(_, route) => self.at(route, question, &path, answer),
        }
    }

    fn at(
        &self,
        route: &'c RouteConfig,
        question: &Question<'_>,
        path: &RequestPath<'_>,
        on: Answer<'c>,
    ) -> Answer<'c> {
        let on = Answer { route: Some(route), ..on };
        if let Some(rule) = route.public.iter().find(|rule| rule.admits(question.method, path)) {
            let forwarded = Some(self.forwarded(route, None));
            return Answer { outcome: Outcome::Public, public: Some(rule), forwarded, ..on };
        }
        let Some(claims) = question.agent else { return Answer { outcome: Outcome::Login, ..on } };
        let Question { method, client, now, .. } = *question;
        let facts = Circumstances { client, method, path, now }.of(claims);
        let examined = route.rules.examine(&facts);
        match route.rules.verdict(&facts) {
            Ok(()) => {
                Answer { outcome: Outcome::Allow, examined, forwarded: Some(self.forwarded(route, Some(claims))), ..on }
            }
            Err(refusal) => {
                let query = question.url.query.as_deref();
                let step_up =
                    self.step_up(route, refusal, &facts).filter(|_| !is_logout(&route.logout_paths, path, query));
                let outcome = if step_up.is_some() { Outcome::StepUp } else { Outcome::Refuse };
                Answer { outcome, examined, reasons: refusal.reasons(), step_up, ..on }
            }
        }
    }

    fn step_up(&self, route: &RouteConfig, refusal: Refusal<'_>, facts: &Facts<'_>) -> Option<Levels> {
        let provider = self.config.providers.iter().find(|provider| provider.settings.name == route.provider);
        let accepted = provider.map_or(&[][..], |provider| &provider.settings.acr_values);
        match refusal {
            Refusal::NotAllowed(_) => route.rules.step_up(facts, accepted),
            Refusal::Denied(_) | Refusal::Outdated => None,
        }
    }

    /// The host in any spelling of it, and its routes; a host where agents only log in has none.
    fn host(&self, named: &str) -> Option<(Authority, &[&'c RouteConfig])> {
        let host = named.parse::<Authority>().ok()?.normalized(self.config.server.external_scheme);
        let logs_in = || self.config.providers.iter().any(|provider| provider.login_host.as_ref() == Some(&host));
        let routes = self.hosts.get(host.as_str()).map(Vec::as_slice).or_else(|| logs_in().then_some(&[][..]))?;
        Some((host, routes))
    }

    /// What is under the prefix is the gateway's own, and so are the redirect URIs.
    fn own(&self, host: &Authority, routes: &[&RouteConfig], path: &RequestPath<'_>) -> Option<Outcome> {
        let Some(canonical) = path.canonical() else {
            return path.raw().starts_with(&self.config.server.prefix).then_some(Outcome::AmbiguousPath);
        };
        let provider = self.config.providers.iter().find(|provider| match routes.first() {
            Some(route) => route.provider == provider.settings.name,
            None => provider.login_host.as_ref() == Some(host),
        });
        let is_redirect = provider.is_some_and(|provider| {
            let logs_in = provider.login_host.as_ref().is_none_or(|at| at == host);
            canonical == provider.post_logout_redirect_path || (logs_in && canonical == provider.redirect_path)
        });
        let is_own = is_redirect || canonical.starts_with(&self.config.server.prefix);
        is_own.then_some(Outcome::Own)
    }

    fn forwarded(&self, route: &'c RouteConfig, agent: Option<&Claims>) -> Forwarded<'c> {
        let plan = self.config.header_plan(route);
        let identity = agent.map(|claims| plan.headers(claims, ""));
        let fields: Vec<_> = identity.iter().flat_map(IdentityHeaders::iter).collect();
        let derived = Component::DERIVED.iter().map(ToString::to_string);
        let identified = fields.iter().map(|(name, value)| {
            let bs = !value.as_bytes().is_ascii();
            Component::Field { name: name.to_ascii_lowercase(), bs }.to_string()
        });
        let covered = if route.sign_request { derived.chain(identified).collect() } else { Vec::new() };
        let session = self.config.header_prefix.header_of("session");
        let mut headers: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                ((*name).to_owned(), if *name == session { "(a pseudonym of the session)".to_owned() } else { value })
            })
            .collect();
        if agent.is_some() && route.sign_assertion {
            let assertion = format!("(a JWT, ES256, for {})", route.audience);
            headers.push((plan.assertion_name().to_owned(), assertion));
        }
        if route.sign_request {
            headers
                .push(("Signature".to_owned(), format!("({}, tag {:?})", route.signature_algorithm, route.audience)));
        }
        Forwarded { headers, covered, route }
    }
}

impl Answer<'_> {
    const fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            candidates: Vec::new(),
            route: None,
            public: None,
            examined: Vec::new(),
            reasons: Vec::new(),
            step_up: None,
            forwarded: None,
        }
    }
}
