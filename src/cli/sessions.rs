//! `portillon sessions list|revoke`: who is logged in, and no longer.
//!
//! It asks a running gateway, with its keys for a proof (see `ask.rs`).

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::ask::{OrderError, ask, unasked};
use super::{configuration, counted, say};
use crate::admin::order::{Order, Report};
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, DEFAULT_FILE, Purpose};
use crate::live::{LiveSession, Selection};

/// Lists and ends the sessions of a running gateway and its group.
#[derive(Args, Debug)]
pub struct SessionsArgs {
    #[command(subcommand)]
    action: Action,
    /// The configuration of the gateway
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Shows who is logged in where, since when, last seen when, from what address and browser
    List {
        #[command(flatten)]
        whose: Whose,
        /// Where the agent logs in: `default` is `[provider]`
        #[arg(long, value_name = "NAME", requires = "agent")]
        provider: Option<String>,
        /// One JSON object a line; times in seconds since 1970
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions on every gateway of the group, with their open connections
    Revoke {
        #[command(flatten)]
        which: Which,
        /// Where the agent logs in, as the configuration calls it; needed where it has several providers
        #[arg(long, value_name = "NAME", requires = "agent")]
        provider: Option<String>,
    },
}

#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
struct Whose {
    /// Of this agent: a `sub`, or an e-mail address
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Of the agents of this identity provider
    #[arg(long, value_name = "IDP_ID")]
    idp: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[group(multiple = false, required = true)]
struct Which {
    /// The one that logs and applications know by this name, with all of its login
    session: Option<String>,
    /// Those of this agent: a `sub`, or an e-mail address
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Those of the agents of this identity provider
    #[arg(long, value_name = "IDP_ID")]
    idp: Option<String>,
    /// Everybody's
    #[arg(long)]
    all: bool,
}

impl From<Whose> for Selection {
    fn from(Whose { agent, idp }: Whose) -> Self {
        let agent = agent.map(|agent| Self::Agent { agent, provider: None });
        agent.or_else(|| idp.map(Self::IdentityProvider)).unwrap_or(Self::All)
    }
}

impl From<Which> for Selection {
    fn from(Which { session, agent, idp, all: _ }: Which) -> Self {
        session.map_or_else(|| Whose { agent, idp }.into(), Self::Session)
    }
}

/// Gives the order, and tells what became of it: 1 where nothing did.
#[must_use]
pub fn execute(args: SessionsArgs) -> ExitCode {
    let config = match configuration(&args.config, Purpose::Check) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    run(&config, args.action).unwrap_or_else(|error| {
        say(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}

fn run(config: &Config, action: Action) -> Result<ExitCode, OrderError> {
    let mut out = io::stdout().lock();
    match action {
        Action::List { whose, provider, json } => {
            let Some(selection) = at(whose.into(), provider.as_deref(), config) else { return Ok(ExitCode::FAILURE) };
            let Report::Sessions(sessions) = ask(config, Order::List(selection))? else { return Err(unasked()) };
            if json {
                print_json(&sessions, &mut out)?;
            } else {
                print_table(&sessions, Clock::system().now(), &mut out)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Revoke { which, provider } => {
            let selection = at(which.into(), provider.as_deref(), config);
            let Some(selection) = selection.filter(|selection| is_clear(selection, config)) else {
                return Ok(ExitCode::FAILURE);
            };
            let Report::Ended { known, stored } = ask(config, Order::End(selection.clone()))? else {
                return Err(unasked());
            };
            writeln!(out, "{} ended", counted(known, "session"))?;
            if !stored {
                say("warning: ended on this gateway only; the others learn of it once the store answers");
            }
            // A session, or an agent by e-mail, is found in the list or not at all.
            let by_list = match &selection {
                Selection::Session(_) => true,
                Selection::Agent { agent, .. } => agent.contains('@'),
                Selection::All | Selection::IdentityProvider(_) => false,
            };
            let found = known > 0 || !by_list;
            Ok(if found { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// The sessions meant, of those that began at the provider of this name; none where there is no such provider, which it
/// says.
fn at(selection: Selection, provider: Option<&str>, config: &Config) -> Option<Selection> {
    let (Selection::Agent { agent, .. }, Some(name)) = (&selection, provider) else { return Some(selection) };
    let Some(provider) = config.providers.iter().find(|provider| provider.settings.name == name) else {
        say(&format!("error: no provider is called `{name}`: {}", names(config)));
        return None;
    };
    Some(Selection::Agent { agent: agent.clone(), provider: Some(provider.settings.fingerprint()) })
}

/// Whether one agent's sessions end at most: a `sub` is another agent's at another provider. It says so where they may
/// not.
fn is_clear(selection: &Selection, config: &Config) -> bool {
    let is_clear = config.providers.len() == 1 || !matches!(selection, Selection::Agent { provider: None, .. });
    if !is_clear {
        say(&format!("error: an agent of which provider? Say so with --provider: {}", names(config)));
    }
    is_clear
}

fn names(config: &Config) -> String {
    let names = config.providers.iter().map(|provider| format!("`{}`", provider.settings.name));
    names.collect::<Vec<_>>().join(", ")
}

/// A session as `--json` shows it, for scripts: what the store keeps beside it is nobody's interface.
#[derive(Serialize)]
struct Shown<'s> {
    session: &'s str,
    host: &'s str,
    sub: &'s str,
    email: Option<&'s str>,
    idp_id: Option<&'s str>,
    logged_in_at: Timestamp,
    last_seen: Timestamp,
    address: Option<IpAddr>,
    user_agent: Option<&'s str>,
}

impl<'s> From<&'s LiveSession> for Shown<'s> {
    fn from(session: &'s LiveSession) -> Self {
        Self {
            session: &session.session,
            host: &session.host,
            sub: &session.sub,
            email: session.email.as_deref(),
            idp_id: session.idp_id.as_deref(),
            logged_in_at: session.logged_in_at,
            last_seen: session.last_seen,
            address: session.address,
            user_agent: session.user_agent.as_deref(),
        }
    }
}

fn print_json(sessions: &[LiveSession], out: &mut impl Write) -> Result<(), OrderError> {
    for session in sessions {
        serde_json::to_writer(&mut *out, &Shown::from(session)).map_err(io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}

fn print_table(sessions: &[LiveSession], now: Timestamp, out: &mut impl Write) -> Result<(), OrderError> {
    let head = ["SESSION", "HOST", "AGENT", "IDP", "LOGIN", "LAST SEEN", "ADDRESS", "BROWSER"].map(str::to_owned);
    let rows = sessions.iter().map(|session| row(session, now));
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(session: &LiveSession, now: Timestamp) -> [String; 8] {
    let agent = session.email.as_ref().unwrap_or(&session.sub);
    let shown = |text: Option<&str>| plain(text.unwrap_or("-"));
    [
        session.session.clone(),
        plain(&session.host),
        plain(agent),
        shown(session.idp_id.as_deref()),
        ago(now.since(session.logged_in_at)),
        ago(now.since(session.last_seen)),
        session.address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
        shown(session.user_agent.as_deref()),
    ]
}

/// What came from outside writes no control sequence to a terminal, and moves or hides nothing on it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_unseen(c) { '\u{fffd}' } else { c }).collect()
}

const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h {:02} min ago", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let told = [0, 59, 60, 3599, 3600, 37_800].map(|seconds| ago(Duration::from_secs(seconds)));
        assert_eq!(told, ["0 s ago", "59 s ago", "1 min ago", "59 min ago", "1 h 00 min ago", "10 h 30 min ago"]);
    }

    #[test]
    fn scripts_get_what_is_documented_and_nothing_else() {
        let name = [7; 16];
        let kept = serde_json::json!({
            "session": "abc", "host": "paie.test", "sub": "s-1", "email": "a@example.fr", "idp_id": null,
            "logged_in_at": 1_800_000_000, "last_seen": 1_800_000_060, "address": "192.0.2.1", "user_agent": "curl",
            "name": name, "knew": 1_800_000_000, "provider": "f", "name_at_provider": name,
        });
        let session: LiveSession = serde_json::from_value(kept).unwrap();
        let mut shown = Vec::new();
        print_json(&[session], &mut shown).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(
            shown,
            "{\"session\":\"abc\",\"host\":\"paie.test\",\"sub\":\"s-1\",\"email\":\"a@example.fr\",\"idp_id\":null,\
             \"logged_in_at\":1800000000,\"last_seen\":1800000060,\"address\":\"192.0.2.1\",\"user_agent\":\"curl\"}\n"
        );
    }

    #[test]
    fn a_browser_writes_nothing_to_the_terminal_of_an_operator() {
        assert_eq!(plain("curl\u{1b}[2J\n"), "curl\u{fffd}[2J\u{fffd}");
    }

    #[test]
    fn no_name_changes_the_order_of_what_an_operator_reads() {
        assert_eq!(plain("a\u{202e}b\u{2028}c\u{200b}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
    }
}
