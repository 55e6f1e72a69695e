//! `portillon keys list|rotate|export|pseudonym`: looks after `keys_dir`.
//!
//! Private keys are never printed. Run as root, new files belong to the owner of the folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use crate::clock::{Clock, Timestamp};
use crate::crypto::key_ring::{KeyEntry, KeyKind, KeyRing, KeyRingError, KeyState, TAKES_EFFECT_AFTER, file};
use crate::telemetry::audit;

/// Lists, rotates and exports the keys that seal sessions and sign requests.
#[derive(Args, Debug)]
pub struct KeysArgs {
    #[command(subcommand)]
    action: Action,
}

/// Where the keys are.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub struct Folder {
    /// The folder of the keys itself
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The configuration that names the folder
    #[arg(long, value_name = "FILE", default_value = "/etc/portillon/portillon.toml")]
    config: PathBuf,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Prints the public keys, for applications that verify signatures
    Export {
        /// Where the keys are
        #[command(flatten)]
        folder: Folder,
        /// How to print them
        #[arg(long, value_enum, default_value_t = Format::Pem)]
        format: Format,
    },
    /// Shows every key: kind, identifier, creation, and whether it is in force
    List {
        /// Where the keys are
        #[command(flatten)]
        folder: Folder,
    },
    /// Prints what the audit trail calls an agent, by each sealing key
    Pseudonym {
        /// Where the keys are
        #[command(flatten)]
        folder: Folder,
        /// The agent's `sub`
        sub: String,
    },
    /// Makes new keys of all kinds, which take effect after 30 seconds; older ones still open and stay published
    Rotate {
        /// Where the keys are
        #[command(flatten)]
        folder: Folder,
        /// Which keys to make
        #[command(flatten)]
        rotation: Rotation,
    },
}

impl Action {
    const fn folder(&self) -> &Folder {
        match self {
            Self::Export { folder, .. }
            | Self::List { folder }
            | Self::Pseudonym { folder, .. }
            | Self::Rotate { folder, .. } => folder,
        }
    }
}

/// Which keys to make.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub struct Rotation {
    /// Only the key that seals sessions
    #[arg(long)]
    sealing: bool,
    /// Only the keys that sign requests and assertions
    #[arg(long)]
    signing: bool,
}

/// How public keys are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// A JWK Set (RFC 7517), as `/.portillon/jwks.json` publishes it
    Jwks,
    /// `PUBLIC KEY` blocks (RFC 7468), each below a line with its kind and `keyid`
    Pem,
}

/// Why a key command failed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] KeyRingError),
    /// The answer cannot be printed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// Does what `args` say. `keys_dir_of` reads the folder out of a configuration; where that fails it has told the
/// operator why, and its exit code is ours.
#[must_use]
pub fn execute(args: &KeysArgs, keys_dir_of: impl FnOnce(&Path) -> Result<PathBuf, ExitCode>) -> ExitCode {
    let folder = args.action.folder();
    let dir = match folder.dir.clone().map_or_else(|| keys_dir_of(&folder.config), Ok) {
        Ok(dir) => dir,
        Err(code) => return code,
    };
    match run(&args.action, &dir, Clock::system().now(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output (`head`) has seen enough.
        Err(KeysError::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: &Action, dir: &Path, now: Timestamp, out: &mut impl Write) -> Result<(), KeysError> {
    match action {
        Action::Export { format: Format::Jwks, .. } => Ok(writeln!(out, "{}", KeyRing::load(dir)?.jwks())?),
        Action::Export { format: Format::Pem, .. } => export_pem(&KeyRing::load(dir)?, now, out),
        Action::List { .. } => list(&KeyRing::load(dir)?, now, out),
        Action::Pseudonym { sub, .. } => {
            let names = KeyRing::load(dir)?.pseudonyms(audit::PURPOSE, sub);
            names.iter().try_for_each(|name| Ok(writeln!(out, "{name}")?))
        }
        Action::Rotate { rotation, .. } => rotate(rotation, dir, now, out),
    }
}

fn list(ring: &KeyRing, now: Timestamp, out: &mut impl Write) -> Result<(), KeysError> {
    writeln!(out, "{:<8}  {:<8}  {:<20}  STATE", "KIND", "ID", "CREATED (UTC)")?;
    for KeyEntry { name, state, .. } in ring.entries(now) {
        writeln!(
            out,
            "{:<8}  {:<8}  {:<20}  {}",
            name.kind(),
            name.id(),
            name.created_utc(),
            told(name.kind(), state)
        )?;
    }
    Ok(())
}

fn told(kind: KeyKind, state: KeyState) -> String {
    let is_sealing = kind == KeyKind::Sealing;
    match state {
        KeyState::InForce => "in force".to_owned(),
        KeyState::Replaced if is_sealing => "replaced, still opens".to_owned(),
        KeyState::Replaced => "replaced, still published".to_owned(),
        KeyState::Waiting(duration) => format!("in force in {} s", duration.as_secs()),
    }
}

fn export_pem(ring: &KeyRing, now: Timestamp, out: &mut impl Write) -> Result<(), KeysError> {
    for KeyEntry { name, state, signing_key } in ring.entries(now) {
        let Some((key, pem)) = signing_key.and_then(|key| key.to_public_pem().map(|pem| (key, pem))) else { continue };
        writeln!(out, "{} {} ({})\n{}", name.kind(), key.kid(), told(name.kind(), state), pem.trim_end())?;
    }
    Ok(())
}

fn rotate(rotation: &Rotation, dir: &Path, now: Timestamp, out: &mut impl Write) -> Result<(), KeysError> {
    let wanted = |kind: &KeyKind| match kind {
        KeyKind::Sealing => !rotation.signing,
        KeyKind::Ed25519 | KeyKind::P256 => !rotation.sealing,
    };
    for kind in KeyKind::ALL.into_iter().filter(wanted) {
        let name = file::create_key(dir, kind, now)?;
        writeln!(out, "made {}", dir.join(name.to_string()).display())?;
    }
    Ok(writeln!(out, "in force in {} s on every gateway that reads this folder", TAKES_EFFECT_AFTER.as_secs())?)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    use super::*;
    use crate::crypto::key_set::VerifyingKeys;
    use crate::crypto::signing::{KeyType, VerifyingKey};

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        keys: KeysArgs,
    }

    fn parse(line: &str) -> Result<KeysArgs, clap::Error> {
        let words = ["keys"].into_iter().chain(line.split_ascii_whitespace());
        let matches = Command::command().try_get_matches_from(words)?;
        Ok(Command::from_arg_matches(&matches)?.keys)
    }

    fn printed(line: &str, dir: &Path, now: Timestamp) -> String {
        let mut out = Vec::new();
        run(&parse(line).unwrap().action, dir, now, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn filled() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        KeyRing::open_or_create(dir.path(), NOW).unwrap();
        dir
    }

    fn later(seconds: u64) -> Timestamp {
        Timestamp::from_secs(NOW.as_secs() + seconds)
    }

    #[test]
    fn the_folder_is_named_or_found_in_the_configuration() {
        let named = parse("list --dir /keys").unwrap();
        assert_eq!(named.action.folder().dir.as_deref(), Some(Path::new("/keys")));
        let found = parse("rotate --config /c.toml --sealing").unwrap();
        let Folder { dir, config } = found.action.folder();
        assert_eq!((dir, config.as_path()), (&None, Path::new("/c.toml")));
        for wrong in ["", "list --dir /keys --config /c.toml", "rotate --sealing --signing", "export --format der"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_tells_which_keys_are_in_force() {
        let dir = filled();
        assert_eq!(printed("list", dir.path(), NOW).matches("  in force\n").count(), 3);
        printed("rotate", dir.path(), later(100));
        let list = printed("list", dir.path(), later(110));
        assert_eq!((list.lines().count(), list.matches("in force in 20 s").count()), (7, 3));
        let list = printed("list", dir.path(), later(200));
        assert_eq!(list.matches("replaced, still published").count(), 2);
        assert_eq!(list.matches("replaced, still opens").count(), 1);
        assert!(list.contains("2027-01-15T08:00:00Z"), "{list}");
    }

    #[test]
    fn a_rotation_makes_the_keys_asked_for() {
        for (line, count) in [("rotate", 3), ("rotate --sealing", 1), ("rotate --signing", 2)] {
            let dir = filled();
            assert_eq!(printed(line, dir.path(), NOW).matches("made ").count(), count);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3 + count);
        }
        let absent = Path::new("/nowhere/keys");
        assert!(run(&parse("rotate").unwrap().action, absent, NOW, &mut Vec::new()).is_err());
    }

    #[test]
    fn an_agent_has_one_pseudonym_a_sealing_key() {
        let dir = filled();
        let before = printed("pseudonym s-1", dir.path(), NOW);
        assert_eq!(before.trim_end().len(), 22);
        assert_ne!(before, printed("pseudonym s-2", dir.path(), NOW));
        run(&parse("rotate --sealing").unwrap().action, dir.path(), NOW, &mut Vec::new()).unwrap();
        let after = printed("pseudonym s-1", dir.path(), NOW);
        assert!(after.lines().count() == 2 && after.contains(before.trim_end()), "{after}");
    }

    #[test]
    fn an_export_verifies_and_holds_no_private_key() {
        let dir = filled();
        let ring = KeyRing::load(dir.path()).unwrap();
        let key = ring.assertion_key(NOW);
        let (jwks, pem) = (printed("export --format jwks", dir.path(), NOW), printed("export", dir.path(), NOW));
        let by_jwk = VerifyingKeys::from_jwks(&jwks).unwrap().find(key.kid()).unwrap().clone();
        let (_, block) = pem.split_once(&format!("p256 {}", key.kid())).unwrap();
        let by_pem = VerifyingKey::from_pem(KeyType::EcdsaP256, block).unwrap();
        for verifier in [by_jwk, by_pem] {
            assert!(verifier.verify(b"m", &key.sign(b"m")));
        }
        assert!(!pem.contains("PRIVATE") && !jwks.contains("\"d\""));
    }
}
