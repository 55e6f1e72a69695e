//! `portillon run`: the gateway, until it is told to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::configuration;
use crate::config::{self, Config, Diagnostic, Purpose, Severity};
use crate::server::{self, Options, Running};
use crate::telemetry::log;

/// What `portillon run` is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration; routes.d/*.toml beside it is read too
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    config: PathBuf,
}

/// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again.
#[must_use]
pub fn execute(args: &Args) -> ExitCode {
    let loaded = match configuration(&args.config, Purpose::Run) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(error) = log::init(loaded.config.log) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    log_all(&loaded.warnings);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime does not start");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(serve(&args.config, loaded.config))
}

async fn serve(file: &Path, config: Config) -> ExitCode {
    // First of all: a SIGHUP that nobody waits for would end the process.
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be received");
            return ExitCode::FAILURE;
        }
    };
    let mut running = match server::start(config, Options::default()).await {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(%error, "the gateway does not start");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(addresses = ?running.addresses, admin = ?running.admin_addresses, "ready");
    notify(&[NotifyState::Ready]);
    while signals.next().await == Told::Reload {
        notify(&[NotifyState::Reloading]);
        reload(&mut running, file);
        notify(&[NotifyState::Ready]);
    }
    notify(&[NotifyState::Stopping]);
    tracing::info!("draining");
    running.shutdown().await;
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

fn reload(running: &mut Running, file: &Path) {
    match config::load(file, Purpose::Run) {
        Ok(loaded) => {
            if let Err(error) = running.reload(&loaded.config) {
                tracing::error!(%error, "the new configuration cannot be served: the old one stays in force");
            }
        }
        Err(diagnostics) => {
            log_all(&diagnostics);
            running.reload_failed();
            tracing::error!("the new configuration is not valid: the old one stays in force");
        }
    }
}

/// Diagnostics as log lines: whoever collects them reads lines, not screens.
fn log_all(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics {
        let (title, shown) = (diagnostic.title(), diagnostic.render(false));
        match diagnostic.severity() {
            Severity::Error => tracing::error!(reason = "configuration_error", shown, "{title}"),
            Severity::Warning => tracing::warn!(reason = "configuration_warning", shown, "{title}"),
        }
    }
}

/// What a signal tells the gateway to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.terminate.recv() => Told::Stop,
        }
    }
}

/// Tells systemd, where that is who started us.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
