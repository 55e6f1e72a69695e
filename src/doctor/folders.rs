//! The folders of the gateway: who may read and write them, and the keys in them.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Finding;
use crate::config::ServerConfig;
use crate::crypto::key_ring::KeyRing;

/// What is written to see whether something can be, and taken away again.
const PROBE: &str = ".doctor";

pub(super) fn examine(server: &ServerConfig) -> Vec<Finding> {
    let about = format!("state_dir {}", server.state_dir.display());
    let mut findings = state_dir(&about, &server.state_dir);
    findings.push(keys_dir(&format!("keys_dir {}", server.keys_dir.display()), &server.keys_dir));
    findings.extend(server.certificates.iter().filter_map(|files| private_key(&files.key)));
    findings
}

fn state_dir(about: &str, dir: &Path) -> Vec<Finding> {
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let help = "the first start makes it, where its user may: StateDirectory=portillon in the unit, or `install -d -m \
                        0700 -o portillon`";
            return vec![Finding::advice("state_dir_missing", about, "it is not there", help)];
        }
        Err(error) => {
            let help = "run this as the user of the gateway, or as root";
            return vec![Finding::fault("state_dir_unreadable", about, error.to_string(), help)];
        }
    };
    let mut findings = Vec::new();
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let message = format!("its mode is {mode:04o}: others on this machine can look into it");
        findings.push(Finding::fault("state_dir_open", about, message, format!("chmod 0700 {}", dir.display())));
    }
    findings.push(match write_probe(dir) {
        Ok(()) => Finding::fine("state_dir", about, "it can be written"),
        Err(error) => {
            let help =
                format!("`chown portillon {}`, and see that the disk is neither full nor read-only", dir.display());
            Finding::fault("state_dir_unwritable", about, format!("nothing can be written there: {error}"), help)
        }
    });
    findings
}

pub(super) fn write_probe(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(PROBE);
    OpenOptions::new().write(true).create(true).truncate(true).open(&probe)?;
    fs::remove_file(probe)
}

fn keys_dir(about: &str, dir: &Path) -> Finding {
    let is_empty =
        fs::read_dir(dir).map_or_else(|error| error.kind() == ErrorKind::NotFound, |mut dir| dir.next().is_none());
    if is_empty {
        return Finding::fine("keys", about, "the first start makes the keys");
    }
    match KeyRing::load(dir) {
        Ok(_) => Finding::fine("keys", about, "the keys can be used"),
        Err(error) => {
            let help = "`portillon keys list` shows them; run both as the user of the gateway";
            Finding::fault("keys_unusable", about, error.to_string(), help)
        }
    }
}

fn private_key(path: &Path) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then(|| {
        let about = format!("certificate key {}", path.display());
        let message = format!("its mode is {mode:04o}: everyone on this machine can read or change it");
        Finding::fault("certificate_key_open", &about, message, format!("chmod 0600 {}", path.display()))
    })
}
