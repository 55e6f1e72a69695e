//! `portillon explain METHOD URL`: why somebody gets in, or does not, from the configuration alone; with `--request-id`,
//! what a running gateway decided, and why.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http::Method;
use serde_json::{Map, Value, json};

use super::ask::{ask, unasked};
use super::{configuration, say};
use crate::admin::order::{Order, Report};
use crate::clock::{Clock, Timestamp, utc};
use crate::config::{Config, DEFAULT_FILE, Purpose};
use crate::explain::{self, Agent, AgentError, Answer, Explainer, Paint, Question};
use crate::policy::Zone;
use crate::route::PageUrl;
use crate::telemetry::recent::Told;

/// The command line of `portillon explain`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The method of the request
    #[arg(required_unless_present = "request_id")]
    method: Option<Method>,
    /// The page, in full: its scheme, host and path
    #[arg(required_unless_present = "request_id")]
    url: Option<PageUrl>,
    /// A request that a running gateway answered lately, by the identifier on the agent's page and in the log
    #[arg(long, value_name = "ID", conflicts_with_all = ["method", "url", "agent", "claim", "anonymous", "client", "at"])]
    request_id: Option<String>,
    /// The configuration; files in routes.d beside it belong to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// The agent's claims, as userinfo gives them, in a JSON file (- is the standard input)
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// One more claim of the agent: siret=11004601800013, roles=agent_public, custom.grade=A; as often as needed
    #[arg(long, value_name = "NAME=VALUE")]
    claim: Vec<String>,
    /// Nobody is logged in
    #[arg(long, conflicts_with_all = ["agent", "claim"])]
    anonymous: bool,
    /// The address that the request comes from
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// When: 2026-01-31T18:30 by the clock of Paris, or as RFC 3339 writes it; now where it is left out
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Says what becomes of a request: success where it is allowed, failure where it is refused or must log in first.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let loaded = match configuration(&args.config, Purpose::Check) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let answered = match &args.request_id {
        Some(request_id) => recalled(args, &loaded.config, request_id),
        None => answered(args, &loaded.config),
    };
    match answered {
        Ok((told, allowed)) => match io::stdout().write_all(told.as_bytes()) {
            Ok(()) if allowed => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
        Err(problem) => {
            say(&problem);
            ExitCode::from(2)
        }
    }
}

fn answered(args: &Args, config: &Config) -> Result<(String, bool), String> {
    let described = described(args)?;
    let explainer = Explainer::new(config);
    let now = args.at.unwrap_or_else(|| Clock::system().now());
    let (Some(method), Some(url)) = (&args.method, &args.url) else { return Err("which request?".to_owned()) };
    let question = Question { method, url, agent: None, client: args.client, now };
    let provider = explainer.answer(&question).candidates.first().map(|route| route.provider.as_str());
    let agent = match described.map(|claims| Agent::new(&claims, config, provider)).transpose() {
        Ok(agent) => agent,
        Err(error @ AgentError::Login(_)) => return Ok((no_login(&error, args.json), false)),
        Err(error) => return Err(error.to_string()),
    };
    let question = Question { agent: agent.as_ref().map(|agent| &agent.claims), ..question };
    let answer = explainer.answer(&question);
    let told = if args.json {
        json_text(&answer, agent.as_ref())
    } else {
        in_words(&question, &answer, (args, agent.as_ref()))
    };
    Ok((told, answer.outcome.is_allowed()))
}

/// What a running gateway decided about a request, and what the configuration says of the same request now.
fn recalled(args: &Args, config: &Config, request_id: &str) -> Result<(String, bool), String> {
    let report = ask(config, Order::Tell(request_id.to_owned())).map_err(|error| format!("error: {error}"))?;
    let Report::Decided(told) = report else { return Err(format!("error: {}", unasked())) };
    let told = told.ok_or_else(|| {
        format!("the gateway does not remember {request_id}: it keeps the last thousand refusals and logins, and as many others")
    })?;
    let method: Method = told.method.parse().map_err(|_| "the request had a method that is none".to_owned())?;
    let url: PageUrl = format!("{}://{}{}", config.server.external_scheme.as_str(), told.host, told.path)
        .parse()
        .map_err(|error| format!("the request was for no page: {error}"))?;
    let question =
        Question { method: &method, url: &url, agent: told.claims.as_ref(), client: told.client, now: told.at };
    let explainer = Explainer::new(config);
    let answer = explainer.answer(&question);
    let allowed = told.decision.starts_with("permit");
    let text = if args.json {
        let mut json = explain::json(&answer);
        if let Some(members) = json.as_object_mut() {
            members.insert("decided".to_owned(), decided(&told));
        }
        format!("{json:#}\n")
    } else {
        let session = told.session.as_deref().unwrap_or("-");
        let by = told.route.as_deref().unwrap_or("-");
        format!(
            "decided: {} ({}), status {}, route {by}, session {session}, {}\n\nBy the configuration as it is now:\n\n{}",
            told.decision,
            told.reason,
            told.status,
            utc::format_extended(told.at),
            explain::text(&question, &answer, paint()),
        )
    };
    Ok((text, allowed))
}

fn decided(told: &Told) -> Value {
    json!({
        "decision": told.decision,
        "reason": told.reason,
        "status": told.status,
        "route": told.route,
        "session": told.session,
        "time": utc::format_extended(told.at),
    })
}

/// The claims that the command line describes; none where nobody is logged in.
fn described(args: &Args) -> Result<Option<Map<String, Value>>, String> {
    if args.anonymous {
        return Ok(None);
    }
    if args.agent.is_none() && args.claim.is_empty() {
        return Err("who asks? --agent FILE, --claim NAME=VALUE, or --anonymous".to_owned());
    }
    let mut claims = args.agent.as_deref().map_or_else(|| Ok(Map::new()), read)?;
    for claim in &args.claim {
        explain::add_claim(&mut claims, claim).map_err(|error| format!("--claim {claim}: {error}"))?;
    }
    Ok(Some(claims))
}

fn read(file: &Path) -> Result<Map<String, Value>, String> {
    let text = if file == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    let text = text.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(claims)) => Ok(claims),
        Ok(_) => Err(format!("{}: an agent is a JSON object, whose members are claims", file.display())),
        Err(error) => Err(format!("{}: this is not JSON: {error}", file.display())),
    }
}

fn no_login(error: &AgentError, as_json: bool) -> String {
    if as_json {
        format!("{}\n", json!({ "outcome": "refuse", "allowed": false, "login": error.to_string() }))
    } else {
        format!("refused: {error}\n")
    }
}

fn json_text(answer: &Answer<'_>, agent: Option<&Agent>) -> String {
    let mut json = explain::json(answer);
    if let (Some(agent), Some(members)) = (agent, json.as_object_mut()) {
        members.insert("malformed_claims".to_owned(), json!(agent.dropped));
        members.insert("missing_claims".to_owned(), json!(agent.missing));
    }
    format!("{json:#}\n")
}

fn in_words(question: &Question<'_>, answer: &Answer<'_>, (args, agent): (&Args, Option<&Agent>)) -> String {
    let mut told = explain::text(question, answer, paint());
    for claim in agent.iter().flat_map(|agent| &agent.dropped) {
        told += &format!("\nnote: `{claim}` is malformed, and therefore absent\n");
    }
    // Whoever names a few claims on the command line does not mean that the others are absent.
    let missing = agent.filter(|agent| args.agent.is_some() && !agent.missing.is_empty());
    if let Some(Agent { missing, .. }) = missing {
        told += &format!("\nnote: no login would succeed without {} ([identity] required)\n", missing.join(", "));
    }
    told
}

/// Colours where the standard output is a terminal.
pub(super) fn paint() -> Paint {
    Paint { styled: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
}

fn instant(text: &str) -> Result<Timestamp, &'static str> {
    Zone::default().instant(text).ok_or("such as 2026-01-31T18:30, or 2026-01-31T17:30:00Z")
}
