//! `portillon test FILE`: whether the rules do what their authors expect of them.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::explain::paint;
use super::{CONFIGURATION, configuration, counted, say, summary, tell};
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Case, Config, DEFAULT_FILE, Purpose};
use crate::explain::{self, Agent, Explainer, Outcome, Paint, Question};

/// The command line of `portillon test`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The cases: [[case]] with a request, an agent and what to expect
    file: PathBuf,
    /// The configuration; files in routes.d beside it belong to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

/// Tries every case: success where each ends as expected.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let config = match configuration(&args.config, Purpose::Check) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    let cases = match config::cases(&args.file, &Outcome::ALL.map(Outcome::as_str)) {
        Ok(cases) => cases,
        Err(diagnostics) => {
            tell(&diagnostics);
            say(&format!("{}: {}", args.file.display(), summary(&diagnostics)));
            return ExitCode::from(CONFIGURATION);
        }
    };
    let (told, failed) = tried(&config, &cases, Clock::system().now());
    match io::stdout().write_all(told.as_bytes()) {
        Ok(()) if failed == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// What is told of the cases, and how many of them ended otherwise than expected.
fn tried(config: &Config, cases: &[Case], now: Timestamp) -> (String, usize) {
    let (explainer, paint) = (Explainer::new(config), paint());
    let (mut told, mut failed) = (String::new(), 0);
    for case in cases {
        match failure(case, (&explainer, config), now, paint) {
            None => told += &format!("{} {}\n", paint.good("ok    "), case.name),
            Some(why) => {
                failed += 1;
                told += &format!(
                    "{} {} {}\n{}",
                    paint.bad("failed"),
                    case.name,
                    paint.dim(&case.origin.to_string()),
                    indented(&why)
                );
            }
        }
    }
    told += &match failed {
        0 => format!("\n{} as expected\n", counted(cases.len(), "case")),
        _ => format!("\n{}, {failed} otherwise than expected\n", counted(cases.len(), "case")),
    };
    (told, failed)
}

/// What is otherwise than expected; none where nothing is.
fn failure(
    case: &Case,
    (explainer, config): (&Explainer<'_>, &Config),
    now: Timestamp,
    paint: Paint,
) -> Option<String> {
    let now = case.at.unwrap_or(now);
    let question = Question { method: &case.method, url: &case.url, agent: None, client: case.client, now };
    let provider = explainer.answer(&question).candidates.first().map(|route| route.provider.as_str());
    let agent = case.agent.as_ref().map(|claims| Agent::new(claims, config, provider));
    let agent = match agent.transpose() {
        Ok(agent) => agent,
        Err(_) if case.expect == Outcome::Refuse.as_str() => return None,
        Err(error) => return Some(format!("expected {}: {error}\n", case.expect)),
    };
    let question = Question { agent: agent.as_ref().map(|agent| &agent.claims), ..question };
    let answer = explainer.answer(&question);
    let found = answer.outcome.as_str();
    let route = answer.route.map(|route| route.name.as_str());
    let why = if found != case.expect {
        format!("expected {}, found {found}", case.expect)
    } else if let Some(expected) = case.route.as_deref().filter(|expected| Some(*expected) != route) {
        format!("expected the route {expected}, found {}", route.unwrap_or("none"))
    } else {
        let expected = case.reason.as_deref().filter(|expected| !answer.reasons.contains(expected))?;
        format!("expected the reason {expected:?}")
    };
    Some(format!("{why}\n\n{}", explain::text(&question, &answer, paint)))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}
