//! `portillon routes`: the table of routes.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::configuration;
use super::explain::paint;
use crate::config::{Config, DEFAULT_FILE, Purpose, RouteConfig};

/// The command line of `portillon routes`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The configuration; files in routes.d beside it belong to it
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
}

const HEADINGS: [&str; 7] = ["HOST", "PATH", "ROUTE", "UPSTREAM", "PUBLIC", "RULES", "WHERE"];

/// Prints the routes by host, the longest path first, as requests meet them.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let config = match configuration(&args.config, Purpose::Check) {
        Ok(loaded) => loaded.config,
        Err(code) => return code,
    };
    let routes = in_order(&config);
    let told = if args.json {
        format!("{:#}\n", routes.iter().map(|route| as_json(route)).collect::<Value>())
    } else {
        table(&routes)
    };
    if io::stdout().write_all(told.as_bytes()).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn in_order(config: &Config) -> Vec<&RouteConfig> {
    let mut routes: Vec<&RouteConfig> = config.routes.iter().collect();
    routes.sort_by_key(|route| (route.authority.clone(), std::cmp::Reverse(route.path.as_str().len())));
    routes
}

fn table(routes: &[&RouteConfig]) -> String {
    let rows: Vec<[String; 7]> = routes.iter().map(|route| row(route)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADINGS[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut table = paint().bold(&line(&HEADINGS.map(str::to_owned))) + "\n";
    rows.iter().for_each(|row| table += &format!("{}\n", line(row)));
    table
}

fn row(route: &RouteConfig) -> [String; 7] {
    let upstreams: Vec<String> = route.upstreams.iter().map(ToString::to_string).collect();
    let public: Vec<&str> = route.public.iter().map(|rule| rule.path.as_str()).collect();
    [
        route.authority.to_string(),
        route.path.to_string(),
        route.name.clone(),
        upstreams.join(" "),
        if public.is_empty() { "-".to_owned() } else { public.join(" ") },
        rules(route),
        route.origin.to_string(),
    ]
}

fn rules(route: &RouteConfig) -> String {
    let blocks = match (route.rules.deny.len(), route.rules.allow.len()) {
        (0, 0) => "every agent".to_owned(),
        (deny, 0) => format!("{deny} deny"),
        (0, allow) => format!("{allow} allow"),
        (deny, allow) => format!("{deny} deny, {allow} allow"),
    };
    match route.rules.max_age {
        Some(max_age) => format!("{blocks}, max_age {}s", max_age.as_secs()),
        None => blocks,
    }
}

fn as_json(route: &RouteConfig) -> Value {
    json!({
        "name": route.name,
        "host": route.authority.as_str(),
        "path": route.path.as_str(),
        "provider": route.provider,
        "upstream": route.upstreams.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "public": route.public.iter().map(|rule| rule.path.as_str()).collect::<Vec<_>>(),
        "deny": route.rules.deny.len(),
        "allow": route.rules.allow.len(),
        "max_age": route.rules.max_age.map(|max_age| max_age.as_secs()),
        "origin": route.origin.to_string(),
    })
}
