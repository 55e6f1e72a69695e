//! Whether the audit trail can be written (`[audit] to`). Who examines may be root, who may write anything: the owner of
//! the state folder is the user of the gateway.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Finding, folders};
use crate::config::Config;
use crate::telemetry::audit::{Destination, Trail};

pub(super) fn examine(config: &Config) -> Option<Finding> {
    match config.audit.to.as_ref()? {
        Destination::File(path) => Some(file(path, fs::metadata(&config.server.state_dir).ok().as_ref())),
        Destination::Stdout => None,
        syslog @ Destination::Syslog(path) => Some(socket(syslog, path)),
    }
}

fn file(path: &Path, ours: Option<&Metadata>) -> Finding {
    let about = format!("[audit] to {}", path.display());
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    if !folder.is_dir() {
        let help = format!("`install -d -m 0750 -o portillon {}`: the gateway makes the file", folder.display());
        return Finding::fault("audit_folder_missing", &about, "its folder is not there", help);
    }
    match written(path, folder, ours) {
        Ok(()) => Finding::fine("audit", &about, "it can be written"),
        Err(error) => {
            let help = "let the user of the gateway write it, and name its folder in ReadWritePaths= of the unit: without \
                        its trail no gateway starts";
            Finding::fault("audit_unwritable", &about, format!("nothing can be written there: {error}"), help)
        }
    }
}

/// Nothing is left there: a file that root made is none that the gateway writes.
fn written(path: &Path, folder: &Path, ours: Option<&Metadata>) -> Result<(), Error> {
    let there = match OpenOptions::new().append(true).open(path) {
        Ok(file) => file.metadata()?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            folders::write_probe(folder)?;
            fs::metadata(folder)?
        }
        Err(error) => return Err(error),
    };
    if ours.is_some_and(|ours| !may_write(ours, &there)) {
        return Err(Error::new(ErrorKind::PermissionDenied, "it belongs to another user than state_dir"));
    }
    Ok(())
}

/// Whether whoever owns `ours` may write `there`. In what other groups they are cannot be seen: they are believed.
fn may_write(ours: &Metadata, there: &Metadata) -> bool {
    let is_owner = ours.uid() == there.uid() && there.mode() & 0o200 != 0;
    ours.uid() == 0 || is_owner || there.mode() & 0o022 != 0
}

fn socket(syslog: &Destination, path: &Path) -> Finding {
    let about = format!("[audit] to {}", path.display());
    match Trail::open(syslog) {
        Ok(_) => Finding::fine("audit", &about, "somebody listens there"),
        Err(error) => {
            let help = "start syslog or journald, or name the socket that it listens at: to = \"syslog:/path\"";
            Finding::fault("audit_syslog", &about, error.to_string(), help)
        }
    }
}
