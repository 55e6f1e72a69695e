//! A gateway with its provider and its application, and the check that every test ends with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use portillon::clock::{Clock, Timestamp};
use tempfile::TempDir;

use super::agent::Agent;
use super::browser::{Browser, CALLBACK, Door, Form, Page};
use super::client::{Connection, Request, Response};
use super::gateway::Gateway;
use super::invariant::Invariant;
use super::proof::Keys;
use super::provider::{Provider, Script};
use super::site::{Route, Site};
use super::upstream::{Upstream, Who};

/// The host whose application has a public part: its paths matter.
pub const PAIE: &str = "paie.test";
/// The host whose only route looks at no path.
pub const DOCS: &str = "docs.test";
/// The host whose agents log in at another provider, where there is one.
pub const RIE: &str = "rie.test";
/// The login host, where there is one.
pub const LOGIN: &str = "login.test";
/// The first page of the application at [`PAIE`].
pub const HOME: &str = "https://paie.test/";

/// When every test begins.
const START: Timestamp = Timestamp::from_secs(1_790_000_000);

/// What a gateway will be started with.
pub struct Plan {
    /// The configuration.
    pub site: Site,
    /// The provider.
    pub provider: Provider,
    /// The application of both routes.
    pub upstream: Upstream,
    /// More applications.
    pub others: Vec<Upstream>,
    /// More providers, by their names in the configuration.
    pub more_providers: Vec<(String, Provider)>,
    /// The folder of the configuration, the state and the keys.
    pub folder: TempDir,
    /// What the gateway and the provider take for the time of day.
    pub clock: Clock,
}

/// A running gateway and everything around it. Every test ends with [`World::finish`].
pub struct World {
    /// The configuration in force.
    pub site: Site,
    /// The provider.
    pub provider: Provider,
    /// The application of both routes.
    pub upstream: Upstream,
    /// The time of day.
    pub clock: Clock,
    /// The folder of the configuration, the state and the keys.
    pub folder: TempDir,
    others: Vec<Upstream>,
    more_providers: Vec<(String, Provider)>,
    gateway: Option<Gateway>,
    door: Door,
    keys: Keys,
    finished: bool,
}

impl Plan {
    /// Two hosts, `paie.test` with a public part under `/public/`, and `docs.test` with a single route without rules.
    pub async fn new() -> Self {
        Self::at(Clock::manual(START)).await
    }

    /// The same with another time of day: that of the machine, where another process has its part in the test.
    pub async fn at(clock: Clock) -> Self {
        let (provider, upstream) = (Provider::start(&clock).await, Upstream::start().await);
        let mut site = Site::new(&provider.issuer());
        let mut paie = Route::new("paie", PAIE, &upstream.origin());
        paie.public("/public/", &["GET", "HEAD"]);
        site.routes = vec![paie, Route::new("docs", DOCS, &upstream.origin())];
        let folder = tempfile::tempdir().expect("a folder for a test");
        Self { site, provider, upstream, others: Vec::new(), more_providers: Vec::new(), folder, clock }
    }

    /// One more application.
    pub async fn another_upstream(&mut self) -> Upstream {
        let upstream = Upstream::start().await;
        self.others.push(upstream.clone());
        upstream
    }

    /// One more provider, `[providers.rie]`, and a host whose agents log in there: `rie.test`.
    pub async fn another_provider(&mut self) -> Provider {
        let provider = Provider::start(&self.clock).await;
        self.site.another_provider("providers.rie", &provider.issuer());
        self.site.routes.push(Route::new("rie", RIE, &self.upstream.origin()).at_provider("rie"));
        self.more_providers.push(("rie".to_owned(), provider.clone()));
        provider
    }

    /// Registers the client at the providers and starts the gateway.
    pub async fn start(self) -> World {
        register(&self.provider, &self.more_providers, &self.site);
        let started = Gateway::start(&self.site, self.folder.path(), &self.clock).await;
        let gateway = started.unwrap_or_else(|reason| panic!("the gateway does not start: {reason}"));
        let door = Arc::new(Mutex::new(gateway.address));
        let Self { site, provider, upstream, others, more_providers, folder, clock } = self;
        let (gateway, keys, finished) = (Some(gateway), Keys::default(), false);
        let mut world =
            World { site, provider, upstream, clock, folder, others, more_providers, gateway, door, keys, finished };
        world.learn_keys().await;
        world
    }
}

/// The client of each provider gets what `portillon check` prints for it, and no more.
fn register(provider: &Provider, more: &[(String, Provider)], site: &Site) {
    let more = more.iter().map(|(name, provider)| (Some(name.as_str()), provider));
    for (name, provider) in std::iter::once((None, provider)).chain(more) {
        let at_each = |path: &str| site.registered(name).iter().map(|host| format!("https://{host}{path}")).collect();
        let client = &mut provider.state().client;
        client.redirect_uris = at_each(CALLBACK);
        client.post_logout_redirect_uris = at_each("/.portillon/signed-out");
    }
}

impl World {
    /// The world of [`Plan::new`], as it is.
    pub async fn start() -> Self {
        Plan::new().await.start().await
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("the gateway runs until the test ends")
    }

    /// A browser that has never been here.
    pub fn browser(&self) -> Browser {
        Browser::new(Arc::clone(&self.door), self.clock.clone())
    }

    /// A browser in which `agent` has opened [`HOME`].
    pub async fn logged_in(&self, agent: &Agent) -> Browser {
        let mut browser = self.browser();
        self.log_in(&mut browser, agent, HOME).await;
        browser
    }

    /// Opens `url` as `agent`, who arrives there.
    pub async fn log_in(&self, browser: &mut Browser, agent: &Agent, url: &str) {
        self.provider.log_in(agent);
        let line = format!("GET {}", super::browser::target(&super::browser::parse(url)));
        self.upstream.expects(agent, &line);
        let page = browser.open(url).await;
        assert_eq!(page.status(), 200, "after the login: {}", page.said());
        assert_eq!(page.url.as_str(), url, "the page asked for");
    }

    /// Lets an agent log in while the provider misbehaves so: the login is refused with a page, nothing is retried, no
    /// session begins. The provider is honest again afterwards.
    pub async fn refuses_login(&self, fault: impl FnOnce(&mut Script)) -> Page {
        self.provider.misbehave(fault);
        let mut browser = self.browser();
        let page = browser.open(HOME).await;
        self.provider.behave();
        assert!(matches!(page.status(), 400..=403 | 500..=503), "{}: {}", page.status(), page.said());
        assert!(page.response.is_own(), "a page of the gateway's own: {:?}", page.response.head);
        assert_eq!(page.logins(), 1, "nothing retries by itself: {:?}", page.hops);
        assert!(!browser.has_session(PAIE), "no session begins");
        page
    }

    /// A login by an agent at an honest provider, to show that the gateway has recovered.
    pub async fn accepts_login(&self) {
        self.logged_in(&Agent::angela()).await;
    }

    /// Presses the logout button of `/.portillon/me` and follows where it leads.
    pub async fn log_out(&self, browser: &mut Browser) -> Page {
        self.log_out_at(browser, PAIE).await
    }

    /// The same at another host.
    pub async fn log_out_at(&self, browser: &mut Browser, host: &str) -> Page {
        let form = self.logout_form_at(browser, host).await;
        browser.post(&format!("https://{host}{}", form.action), &form.body()).await
    }

    /// The logout button of `/.portillon/me`.
    pub async fn logout_form(&self, browser: &mut Browser) -> Form {
        self.logout_form_at(browser, PAIE).await
    }

    async fn logout_form_at(&self, browser: &mut Browser, host: &str) -> Form {
        let page = browser.open(&format!("https://{host}/.portillon/me")).await;
        assert_eq!(page.status(), 200, "{}", page.said());
        Form::find(&page.response.text(), "/.portillon/logout").expect("a logout button")
    }

    /// A new connection to the gateway.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.gateway().address).await
    }

    /// One request on a new connection.
    pub async fn send(&self, request: &Request) -> Response {
        self.connect().await.exchange(request).await
    }

    /// One request on a new connection, with the session of `browser`.
    pub async fn send_as(&self, browser: &mut Browser, request: Request) -> Response {
        let host = request.fields[0].1.clone();
        let url = super::browser::parse(&format!("https://{host}/"));
        self.send(&browser.with_cookies(&url, request)).await
    }

    /// A GET of the admin listener.
    pub async fn admin(&self, path: &str) -> Response {
        Connection::open(self.gateway().admin).await.exchange(&Request::get("localhost", path)).await
    }

    /// Sends all browsers to another gateway of the group from now on, as a load balancer may.
    pub fn send_browsers_to(&self, gateway: &Gateway) {
        *self.door.lock().expect("no test panics while it moves the gateway") = gateway.address;
    }

    /// Moves the clock.
    pub fn advance(&self, minutes: u64) {
        self.clock.advance(Duration::from_secs(minutes * 60));
    }

    /// Declares what is meant to reach the first application.
    pub fn expects(&self, who: impl Into<Who>, line: &str) {
        self.upstream.expects(who, line);
    }

    /// Reads the changed configuration.
    pub async fn reload(&mut self, site: &Site) -> Result<(), String> {
        register(&self.provider, &self.more_providers, site);
        self.gateway().reload(site, self.folder.path()).await?;
        self.site = site.clone();
        Ok(())
    }

    /// Stops the gateway and starts it again on the same files.
    pub async fn restart(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
        let started = Gateway::start(&self.site, self.folder.path(), &self.clock).await;
        let gateway = started.unwrap_or_else(|reason| panic!("the gateway does not start again: {reason}"));
        self.send_browsers_to(&gateway);
        self.gateway = Some(gateway);
    }

    /// Fetches the keys that the gateway publishes; those seen before stay known.
    pub async fn learn_keys(&mut self) -> Keys {
        let host = self.site.routes.first().expect("a site has routes").host.clone();
        let response = self.send(&Request::get(&host, "/.portillon/jwks.json")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        for jwk in Keys::new(&response.text()).jwks {
            if !self.keys.jwks.contains(&jwk) {
                self.keys.jwks.push(jwk);
            }
        }
        self.keys.clone()
    }

    /// Waits until the gateway publishes at least `count` keys: it looks at its folder every few seconds.
    pub async fn keys_published(&mut self, count: usize) {
        let deadline = tokio::time::Instant::now() + super::client::DEADLINE;
        while self.learn_keys().await.jwks.len() < count {
            assert!(tokio::time::Instant::now() < deadline, "no new key is published");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asserts the master invariant, and that AgentConnect had nothing to complain of.
    pub async fn finish(mut self) {
        self.learn_keys().await;
        let providers = || std::iter::once(&self.provider).chain(self.more_providers.iter().map(|(_, more)| more));
        let complaints: Vec<String> = providers().flat_map(Provider::complaints).collect();
        let secrets: Vec<String> = providers().flat_map(Provider::secrets).collect();
        self.finished = true;
        assert!(complaints.is_empty(), "AgentConnect would refuse: {complaints:#?}");
        let (site, keys, secrets) = (&self.site, &self.keys, &secrets[..]);
        let invariant = Invariant { site, keys, secrets };
        for upstream in std::iter::once(&self.upstream).chain(&self.others) {
            invariant.check(&upstream.log());
        }
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        assert!(self.finished || std::thread::panicking(), "the test did not end with World::finish");
    }
}
