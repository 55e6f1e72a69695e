//! `portillon demo`: one login, shown from end to end on this machine alone.
//!
//! A provider and an application of our own, and the gateway between them by the ordinary configuration path. First a
//! login is walked through; then, on a terminal, everything stays up until Ctrl-C.

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::tell;
use crate::clock::Clock;
use crate::config::{self, Purpose};
use crate::crypto::random_token;
use crate::demo::agents::Agent;
use crate::demo::application::{Application, Settings};
use crate::demo::configuration::{CLIENT_SECRET_FILE, Configuration, ROUTE, SCOPE, registration};
use crate::demo::folder::TemporaryFolder;
use crate::demo::provider::Provider;
use crate::demo::tour::transcript::Transcript;
use crate::demo::tour::{self, Scenery};
use crate::secret::Secret;
use crate::server::{self, Options, Running};

/// The command line of `portillon demo`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Args {
    /// End after the walk, even on a terminal
    #[arg(long)]
    pub once: bool,

    /// Where the gateway listens on localhost; the next free port where this one is taken
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
}

/// Runs the demonstration: success only where everything shown was really verified.
#[must_use]
pub fn execute(args: Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let shown = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(show(args)));
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

type Shown = Result<(), Box<dyn Error>>;

async fn show(args: Args) -> Shown {
    let mut stop = pin!(interruption()?);
    let (mut out, on_terminal) = (io::stdout(), io::stdout().is_terminal());
    let mut transcript = Transcript::new(&mut out, on_terminal && std::env::var_os("NO_COLOR").is_none());
    // Interrupted before its end it ends tidily all the same: the temporary folder goes with everything else.
    let stage = tokio::select! {
        stage = walked(args.port, &mut transcript) => stage?,
        () = &mut stop => return Err("interrupted".into()),
    };
    transcript.title("Everything shown was verified.");
    if on_terminal && !args.once && std::env::var_os("CI").is_none() {
        stage.invite(&mut transcript);
        stop.await;
    }
    stage.gateway.shutdown().await;
    Ok(())
}

/// The stage after a walk during which everything held.
async fn walked(port: u16, transcript: &mut Transcript<'_>) -> Result<Stage, Box<dyn Error>> {
    let stage = Stage::set(port, transcript).await?;
    tour::walk(&stage.scenery, transcript).await?;
    Ok(stage)
}

/// Ctrl-C, or a polite request to end.
fn interruption() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

/// Everything that runs, and the folder that it runs in. Dropped from the top: the folder goes last.
struct Stage {
    scenery: Scenery,
    gateway: Running,
    _application: Application,
    _provider: Provider,
    _folder: TemporaryFolder,
}

impl Stage {
    async fn set(wanted: u16, transcript: &mut Transcript<'_>) -> Result<Self, Box<dyn Error>> {
        let port = free_port(wanted)?;
        if port != wanted {
            transcript.note(&format!("Port {wanted} is taken: the gateway listens on {port}."));
        }
        let origin = format!("http://localhost:{port}");
        let clock = Clock::system();
        let secret = Secret::new(random_token::<32>());
        let folder = TemporaryFolder::create()?;
        folder.write(CLIENT_SECRET_FILE, secret.expose())?;
        let provider = Provider::start(vec![registration(&origin, secret)], clock.clone()).await?;
        let settings = Settings { gateway: origin.clone(), audience: ROUTE.to_owned(), clock };
        let application = Application::start(settings).await?;
        let scenery = Scenery {
            gateway: origin,
            application: application.address(),
            issuer: provider.issuer().to_owned(),
            scope: SCOPE.to_vec(),
            agent: Agent::find("zoe").unwrap_or(&Agent::all()[0]),
        };
        let text =
            Configuration { port, folder: folder.path(), issuer: &scenery.issuer, upstream: scenery.application }
                .to_toml();
        let file = folder.write("portillon.toml", &text)?;
        introduce(&scenery, &file, &text, transcript);
        let gateway = start_gateway(&file).await?;
        Ok(Self { scenery, gateway, _application: application, _provider: provider, _folder: folder })
    }

    /// Says what to open.
    fn invite(&self, transcript: &mut Transcript<'_>) {
        transcript.title("Now yours:");
        transcript.note(&format!("  {}/               the application, behind the gateway", self.scenery.gateway));
        transcript.note(&format!("  {}/.portillon/    the applications open to you", self.scenery.gateway));
        transcript.note(&format!("  {}/.portillon/me  what it learns of you, and the way out", self.scenery.gateway));
        transcript.note("  Every agent of the login page is fictional; Léa is an intern and will be refused.");
        transcript.note("\nCtrl-C ends the demonstration.");
    }
}

fn introduce(scenery: &Scenery, file: &Path, text: &str, transcript: &mut Transcript<'_>) {
    transcript.title("Portillon in front of an application that never heard of AgentConnect");
    transcript.note(&format!("  gateway      {}", scenery.gateway));
    transcript.note(&format!("  application  http://{}", scenery.application));
    transcript.note(&format!("  AgentConnect {} (fictional)", scenery.issuer));
    transcript.title(&format!("The configuration, {}", file.display()));
    for line in text.lines() {
        transcript.note(&format!("  {line}"));
    }
}

/// The first port from `wanted` on that is free on both loopback addresses: a browser tries either for `localhost`.
fn free_port(wanted: u16) -> io::Result<u16> {
    let candidates = wanted..=wanted.saturating_add(PORTS_TO_TRY);
    candidates
        .into_iter()
        .find(|port| is_free(*port))
        .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, format!("no free port from {wanted} on")))
}

fn is_free(port: u16) -> bool {
    let taken = |result: io::Result<TcpListener>| {
        result.is_err_and(|error| matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied))
    };
    !taken(TcpListener::bind((Ipv4Addr::LOCALHOST, port))) && !taken(TcpListener::bind((Ipv6Addr::LOCALHOST, port)))
}

/// Starts the gateway as `run` does, from a configuration file.
async fn start_gateway(file: &Path) -> Result<Running, Box<dyn Error>> {
    let loaded = config::load(file, Purpose::Run).map_err(|diagnostics| {
        tell(&diagnostics);
        format!("{} is no valid configuration", file.display())
    })?;
    Ok(server::start(loaded.config, Options::default()).await?)
}

const PORTS_TO_TRY: u16 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_ne!(free_port(port).ok(), Some(port));
        drop(taken);
    }
}
