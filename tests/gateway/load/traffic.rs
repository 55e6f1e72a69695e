//! Agents who keep asking at two gateways, and some who never logged in: what each request became, and whether that is
//! what it may become.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use url::Url;

use crate::harness::browser::{Form, form_post, navigation, parse};
use crate::harness::client::Connection;
use crate::harness::{Agent, Browser, HOME, PAIE, Request, Response, Upstream, World};
use crate::redis::PATIENCE;

/// Between an answer and the next request.
const PACE: Duration = Duration::from_millis(40);

/// What a logout needs on a busy machine to be known everywhere, on top of what the configuration allows.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How many agents are at work.
pub const AGENTS: usize = 6;

/// The gateway of the [`World`], and the other one.
pub const FIRST: usize = 0;
pub const OTHER: usize = 1;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The application answered.
    Served,
    /// Sent to log in.
    Away,
    /// A page that says to try again.
    Refused,
    /// No answer.
    Lost,
    /// An answer that there should not be.
    Other(u16),
}

/// A request.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Whose session it came with, if any.
    who: Option<usize>,
    gateway: usize,
    sent: Instant,
    done: Instant,
    outcome: Outcome,
}

/// A session that was ended by a logout.
#[derive(Clone, Copy)]
struct Ended {
    who: usize,
    gateway: usize,
    asked: Instant,
    answered: Instant,
    /// From when on the other gateway can be told.
    told: Instant,
}

/// An agent at work, in one browser.
struct Worker {
    agent: Agent,
    browser: Mutex<Browser>,
    url: Url,
    leave: (Url, Form),
}

/// The load, and what is known of it.
pub struct Traffic {
    workers: Vec<Arc<Worker>>,
    gateways: [SocketAddr; 2],
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Vec<Ended>,
    killed: Option<usize>,
    bound: Duration,
    tasks: JoinSet<()>,
}

impl Traffic {
    /// Logs agents in at the first gateway, and has each ask at both. What ended is served no longer than `staleness`.
    pub async fn start(world: &World, other: SocketAddr, staleness: Duration) -> Self {
        let mut workers = Vec::new();
        for number in 0..AGENTS {
            workers.push(Arc::new(Worker::new(world, number).await));
        }
        let gateways = [world.gateway().address, other];
        let bound = staleness + AT_ONCE;
        let mut traffic = Self {
            workers,
            gateways,
            asked: Arc::default(),
            ended: Vec::new(),
            killed: None,
            bound,
            tasks: JoinSet::new(),
        };
        for (gateway, address) in gateways.into_iter().enumerate() {
            for (who, worker) in traffic.workers.iter().enumerate() {
                let (worker, upstream, asked) =
                    (Arc::clone(worker), world.upstream.clone(), Arc::clone(&traffic.asked));
                traffic.tasks.spawn(async move { worker.works(&upstream, (who, gateway, address), &asked).await });
            }
            let (asked, stranger) = (Arc::clone(&traffic.asked), world.browser());
            traffic.tasks.spawn(async move { knocks(stranger, gateway, address, &asked).await });
        }
        traffic.all_are_served().await;
        traffic
    }

    /// Presses the logout button of one of them at a gateway. A copy of the cookies goes on asking.
    pub async fn log_out(&mut self, who: usize, gateway: usize) {
        let request = self.workers[who].leaves();
        let asked = Instant::now();
        let answer = Connection::open(self.gateways[gateway]).await.exchange(&request).await;
        let answered = Instant::now();
        assert_eq!(answer.status, 303, "a logout is one, whatever fails: {}", answer.said());
        self.ended.push(Ended { who, gateway, asked, answered, told: answered });
    }

    /// The gateways reach their store again: what this agent's logout ended while one did not can be told from now on.
    pub fn can_tell_of(&mut self, who: usize) {
        let ended = self.ended.iter_mut().find(|ended| ended.who == who).expect("they logged out");
        ended.told = Instant::now();
    }

    /// Requests to this gateway may get lost: it is killed.
    pub const fn may_lose(&mut self, gateway: usize) {
        self.killed = Some(gateway);
    }

    /// How often a gateway let a request end so.
    pub fn count(&self, gateway: usize, outcome: Outcome) -> usize {
        self.log().iter().filter(|asked| asked.gateway == gateway && asked.outcome == outcome).count()
    }

    /// Waits until a gateway lets `more` requests end so.
    pub async fn until(&self, gateway: usize, outcome: Outcome, more: usize) {
        let enough = self.count(gateway, outcome) + more;
        self.wait(format!("{outcome:?}"), || self.count(gateway, outcome) >= enough).await;
    }

    /// Waits until everybody who did not log out is served by both gateways, from now on.
    pub async fn all_are_served(&self) {
        let now = Instant::now();
        let alive = |who: &usize| !self.ended.iter().any(|ended| ended.who == *who);
        for who in (0..self.workers.len()).filter(alive) {
            for gateway in [FIRST, OTHER] {
                self.wait(format!("{who} is not served by {gateway}"), || {
                    self.of(who, gateway, |asked| asked.sent > now && asked.outcome == Outcome::Served)
                })
                .await;
            }
        }
    }

    /// Waits until those who logged out are sent away by both gateways.
    pub async fn the_ended_are_away(&self) {
        for Ended { who, .. } in &self.ended {
            for gateway in [FIRST, OTHER] {
                let since = Instant::now();
                self.wait(format!("{who} is not sent away by {gateway}"), || {
                    self.of(*who, gateway, |asked| asked.sent > since && asked.outcome == Outcome::Away)
                })
                .await;
            }
        }
    }

    /// What tells by which key this agent's session is sealed: the first 36 bits hold a version and most of the key's
    /// identifier.
    pub fn sealed_by(&self, who: usize) -> String {
        let browser = self.workers[who].browser.lock().unwrap();
        browser.jar.session(PAIE)[0].value[..6].to_owned()
    }

    /// Waits until all is well, and past every bound; then judges every request, and the application's log.
    pub async fn finish(mut self, what: &str, world: World) {
        self.the_ended_are_away().await;
        self.all_are_served().await;
        for ended in &self.ended {
            let late = ended.told + self.bound;
            for gateway in [FIRST, OTHER] {
                self.wait(format!("{} past the bound", ended.who), || {
                    self.of(ended.who, gateway, |asked| asked.sent > late)
                })
                .await;
            }
        }
        self.tasks.shutdown().await;
        // Past the capture of a test's output: these numbers are to be seen.
        let _ = writeln!(std::io::stderr(), "load: {what}: {self}");
        let wrong: Vec<Asked> = self.log().iter().copied().filter(|asked| !self.is_right(asked)).collect();
        assert!(wrong.is_empty(), "{what}: {} are wrong: {:#?}", wrong.len(), wrong.first_chunk::<3>());
        world.finish().await;
    }

    fn is_right(&self, asked: &Asked) -> bool {
        match (asked.outcome, asked.who) {
            (Outcome::Other(_), _) => false,
            (Outcome::Refused, _) => true,
            (Outcome::Lost, _) => self.killed == Some(asked.gateway),
            (Outcome::Away, None) => true,
            (Outcome::Served, None) => false,
            (outcome, Some(who)) => {
                let ended = self.ended.iter().find(|ended| ended.who == who);
                match ended {
                    None => outcome == Outcome::Served,
                    Some(ended) if outcome == Outcome::Away => asked.done > ended.asked,
                    Some(ended) if asked.gateway == ended.gateway => asked.sent < ended.answered,
                    Some(ended) => asked.sent < ended.told + self.bound,
                }
            }
        }
    }

    fn of(&self, who: usize, gateway: usize, is: impl Fn(&Asked) -> bool) -> bool {
        // What is waited for is among the last.
        self.log().iter().rev().any(|asked| asked.who == Some(who) && asked.gateway == gateway && is(asked))
    }

    async fn wait(&self, what: String, condition: impl Fn() -> bool) {
        let waited = timeout(PATIENCE, async {
            while !condition() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}: {self}");
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap()
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.log();
        let count = |is: &dyn Fn(&Asked) -> bool| log.iter().filter(|asked| is(asked)).count();
        let became = |outcome| count(&|asked| asked.outcome == outcome);
        write!(
            f,
            "{} sent, {} of them without a session; {} served, {} sent to log in, {} refused, {} lost; {} logouts",
            log.len(),
            count(&|asked| asked.who.is_none()),
            became(Outcome::Served),
            became(Outcome::Away),
            became(Outcome::Refused),
            became(Outcome::Lost),
            self.ended.len(),
        )
    }
}

impl Worker {
    async fn new(world: &World, number: usize) -> Self {
        let agent = Agent::angela().with("sub", format!("9b1f1a5e-9be3-4b83-a7f9-00000000000{number}"));
        let mut browser = world.browser();
        world.log_in(&mut browser, &agent, HOME).await;
        let form = world.logout_form(&mut browser).await;
        let leave = (parse(&format!("https://{PAIE}{}", form.action)), form);
        let url = parse(&format!("https://{PAIE}/at-work/{number}"));
        Self { agent, browser: Mutex::new(browser), url, leave }
    }

    fn leaves(&self) -> Request {
        let (url, form) = &self.leave;
        self.browser.lock().unwrap().with_cookies(url, form_post(url, &form.body()))
    }

    /// Asks for ever, as a browser does: over one connection, with the cookies that it was given last.
    async fn works(
        &self,
        upstream: &Upstream,
        (who, gateway, address): (usize, usize, SocketAddr),
        log: &Mutex<Vec<Asked>>,
    ) {
        let mut open = None;
        loop {
            let request = self.browser.lock().unwrap().with_cookies(&self.url, navigation(&self.url, "none"));
            upstream.tolerates(&self.agent, &request.line);
            let sent = Instant::now();
            let answer = exchange(&mut open, address, &request).await;
            let (done, outcome) = (Instant::now(), outcome(answer.as_ref()));
            if outcome == Outcome::Served {
                self.browser.lock().unwrap().keep_cookies(&self.url, answer.as_ref().unwrap());
            }
            log.lock().unwrap().push(Asked { who: Some(who), gateway, sent, done, outcome });
            sleep(PACE).await;
        }
    }
}

/// Asks for ever without a session. No such request is declared to the application.
async fn knocks(mut browser: Browser, gateway: usize, address: SocketAddr, log: &Mutex<Vec<Asked>>) {
    let url = parse(&format!("https://{PAIE}/nobody"));
    let made_up = format!("__Host-portillon={}", "A".repeat(900));
    let mut open = None;
    for number in 0.. {
        let request = browser.with_cookies(&url, navigation(&url, "none"));
        let request = if number % 2 == 0 { request } else { request.with("Cookie", made_up.clone()) };
        let sent = Instant::now();
        let answer = exchange(&mut open, address, &request).await;
        let (done, outcome) = (Instant::now(), outcome(answer.as_ref()));
        log.lock().unwrap().push(Asked { who: None, gateway, sent, done, outcome });
        sleep(PACE).await;
    }
}

fn outcome(answer: Option<&Response>) -> Outcome {
    let Some(answer) = answer else { return Outcome::Lost };
    match answer.status {
        200 if !answer.is_own() => Outcome::Served,
        303 => Outcome::Away,
        503 if answer.is_own() => Outcome::Refused,
        other => Outcome::Other(other),
    }
}

async fn exchange(open: &mut Option<Connection>, address: SocketAddr, request: &Request) -> Option<Response> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => Connection::try_open(address).await.ok()?,
    };
    connection.try_send(request.to_bytes()).await.ok()?;
    let answer = connection.try_response(request.method()).await?;
    let stays = answer.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close"));
    *open = stays.then_some(connection);
    Some(answer)
}
