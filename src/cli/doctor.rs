//! `portillon doctor`: what a gateway with this configuration will find around it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{check, configuration, counted, tell};
use crate::clock::Clock;
use crate::config::{Config, DEFAULT_FILE, Loaded, Purpose};
use crate::doctor::{Finding, Level, examine};

/// The command line of `portillon doctor`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration; files in routes.d beside it belong to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Examines, and tells: 1 where something will not work.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let Loaded { config, warnings } = match configuration(&args.config, Purpose::Check) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    tell(&warnings);
    let findings = examine(&config, &Clock::system());
    let styled = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let told =
        if args.json { format!("{}\n", as_json(&config, &findings)) } else { as_text(&config, &findings, styled) };
    match io::stdout().write_all(told.as_bytes()) {
        Ok(()) if of(&findings, Level::Fault) == 0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn of(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

fn as_text(config: &Config, findings: &[Finding], styled: bool) -> String {
    let mut text = String::new();
    for finding in findings {
        let level = finding.level.as_str();
        let shown = if styled { format!("{}{level:6}\x1b[0m", colour(finding.level)) } else { format!("{level:6}") };
        let Finding { code, about, message, help, .. } = finding;
        let _ = writeln!(text, "{shown}  {about}: {message} [{code}]");
        if !help.is_empty() {
            let _ = writeln!(text, "        {help}");
        }
    }
    let (faults, advice) = (of(findings, Level::Fault), of(findings, Level::Advice));
    text + &check::to_register(config) + &format!("\n{}, {advice} to consider\n", counted(faults, "fault"))
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::Fault => "\x1b[1;31m",
        Level::Advice => "\x1b[1;33m",
        Level::Fine => "\x1b[32m",
    }
}

fn as_json(config: &Config, findings: &[Finding]) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "code": finding.code,
            "level": finding.level.as_str(),
            "about": finding.about,
            "message": finding.message,
            "help": finding.help,
        })
    };
    let registration = config.providers.iter().map(|provider| {
        json!({
            "issuer": provider.settings.issuer,
            "client_id": provider.settings.client_id,
            "redirect_uris": config.redirect_uris(provider),
            "post_logout_redirect_uris": config.post_logout_redirect_uris(provider),
        })
    });
    json!({
        "faults": of(findings, Level::Fault),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
        "register": registration.collect::<Vec<_>>(),
    })
}
