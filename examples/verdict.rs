//! How long a verdict takes: the route of a request is looked up and its rules are asked, as the gateway does it. `make
//! bench` runs it; what it prints goes into bench/RESULTS.md.

use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Instant;

use http::Method;
use portillon::clock::Timestamp;
use portillon::config::{self, Config, Purpose};
use portillon::identity::{ClaimValue, Claims};
use portillon::policy::{Circumstances, Rules};
use portillon::route::{Lookup, RequestPath, Table};

const PROVIDER: &str = r#"[provider]
environment = "integration"
client_id = "x"
client_secret = { value = "x" }
scope = ["openid", "email", "siret", "idp_id", "roles", "custom", "organizational_unit", "belonging_population"]
[identity]
required = ["sub"]
"#;

/// One block of each kind; the agent fits the last one only, so that every other is looked at.
const BLOCKS: [&str; 9] = [
    "siret = { file = \"sirets.txt\" }\nmfa = true",
    "client_address = [\"10.0.0.0/8\", \"172.16.0.0/12\"]",
    "email_domain = [\".gouv.fr\", \"dinum.fr\"]\nidp_id = \"fia1\"",
    "organizational_unit = [\"PREF/*\", \"MI/*\"]\ncustom.habilitation = \"secret\"",
    "path = \"/admin\"\nmethod = [\"GET\", \"HEAD\"]",
    "belonging_population = [\"agent\", \"prestataire\"]\nacr = \"eidas3\"",
    "not = { siret = \"13002526500013\" }",
    "time = { days = \"sat-sun\", hours = \"08:00-18:00\" }",
    "roles = \"agent_public_etat\"\nsub = \"436402e3-ffa7-4ae3-8193-b35a1c43853e\"",
];
const ROUNDS: usize = 7;
const CALLS: u32 = 200_000;

/// A site, and what its requests are decided by.
struct Site {
    routes: Table<Rules>,
}

impl Site {
    /// `routes` routes with ten blocks each, the first of which has a list of `entries` values.
    fn new(routes: usize, entries: usize) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let sirets: Vec<String> = (0..entries as u64).map(|number| siret(1_000_000_000_000 + number)).collect();
        std::fs::write(folder.path().join("sirets.txt"), sirets.join("\n"))?;
        let config = parse(&folder.path().join("portillon.toml"), &toml(routes))?;
        let mut table = Table::default();
        for route in config.routes {
            table.insert(route.authority.clone(), &route.path, route.reads_path(), route.rules);
        }
        Ok(Self { routes: table })
    }

    /// Nanoseconds for one request of `agent`, the median of some rounds; and whether it is admitted.
    fn measure(&self, agent: &Claims) -> (f64, bool) {
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                // It is read with the request, whatever becomes of that.
                let path = RequestPath::new("/part3/bulletins/2026");
                let start = Instant::now();
                for _ in 0..CALLS {
                    black_box(self.admits(black_box(agent), &path));
                }
                start.elapsed().as_nanos() as f64 / f64::from(CALLS)
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        (rounds[ROUNDS / 2], self.admits(agent, &RequestPath::new("/part3/bulletins/2026")))
    }

    fn admits(&self, agent: &Claims, path: &RequestPath<'_>) -> bool {
        let Lookup::Route(_, rules) = self.routes.lookup("site0.example.gouv.fr", path) else { return false };
        let (client, method) = (Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))), &Method::POST);
        let facts = Circumstances { client, method, path, now: Timestamp::from_secs(1_790_000_000) }.of(agent);
        rules.verdict(&facts).is_ok()
    }
}

fn parse(file: &Path, text: &str) -> Result<Config, Box<dyn Error>> {
    let told = config::parse(file, text, Purpose::Check);
    Ok(told.map_err(|errors| errors.iter().map(|error| error.render(false)).collect::<String>())?.config)
}

/// Ten routes a host, each a part of it; they share one set of rules, as so many would.
fn toml(routes: usize) -> String {
    let mut toml = PROVIDER.to_owned();
    toml.push_str("[[rules.shared.deny]]\nbelonging_population = \"stagiaire\"\n");
    for block in BLOCKS {
        let _ = writeln!(toml, "[[rules.shared.allow]]\n{block}");
    }
    for number in 0..routes {
        let (host, part) = (number / 10, number % 10);
        let _ = writeln!(
            toml,
            "[[route]]\nname = \"r{number}\"\nhost = \"site{host}.example.gouv.fr\"\npath = \"/part{part}\"\n\
             upstream = \"http://10.0.0.1\"\nrules = \"shared\""
        );
    }
    toml
}

/// The 13 digits of `number` and the one that checks them (Luhn).
fn siret(number: u64) -> String {
    let weighed = number.to_string().into_bytes().into_iter().rev().enumerate().map(|(at, digit)| {
        let doubled = u64::from(digit - b'0') * if at % 2 == 0 { 2 } else { 1 };
        doubled / 10 + doubled % 10
    });
    format!("{number}{}", (10 - weighed.sum::<u64>() % 10) % 10)
}

fn agent(role: &str) -> Claims {
    let mut claims = Claims::new("436402e3-ffa7-4ae3-8193-b35a1c43853e");
    for (name, value) in [
        ("email", "zoe.lefevre@prefecture.example.fr"),
        ("siret", "13002526500013"),
        ("idp_id", "71144ab3-ee1a-4401-b7b3-79b44f7daeeb"),
        ("acr", "eidas1"),
        ("belonging_population", "agent"),
        ("organizational_unit", "PREF/SG/DSI"),
    ] {
        claims.insert(name, ClaimValue::Text(value.to_owned()));
    }
    claims.insert("roles", ClaimValue::List(vec!["agent_public".to_owned(), role.to_owned()]));
    claims.insert("custom", ClaimValue::Json("{\"habilitation\":\"aucune\"}".to_owned()));
    claims
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("| a route with ten blocks, of … routes | values in its list | admitted by the last, ns | refused, ns |");
    println!("|---:|---:|---:|---:|");
    for (routes, entries) in [(10, 1), (10_000, 1), (10, 100_000), (10_000, 100_000)] {
        let site = Site::new(routes, entries)?;
        let (admitted, enters) = site.measure(&agent("agent_public_etat"));
        let (refused, enters_too) = site.measure(&agent("autre"));
        if !enters || enters_too {
            return Err("the rules do not do what is measured".into());
        }
        println!("| {routes} | {entries} | {admitted:.0} | {refused:.0} |");
    }
    Ok(())
}
