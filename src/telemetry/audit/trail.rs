//! Where the audit trail is written: standard output, a file, or syslog (RFC 3164 on the socket of this machine, which
//! journald listens at too). One thread writes, so that no request waits for a disk.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait for the disk.
const WAITING: usize = 8192;

/// The socket of syslog.
const SYSLOG: &str = "/dev/log";

/// `authpriv`, with `info` for what succeeded and `warning` for what did not.
const PRIORITIES: [u8; 2] = [10 * 8 + 4, 10 * 8 + 6];

/// How long a stop waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the trail is written (`[audit] to`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Destination {
    /// Lines are added to this file, which is opened again at a reload.
    File(PathBuf),
    /// Standard output, apart from the log, which is on standard error.
    Stdout,
    /// This socket of syslog.
    Syslog(PathBuf),
}

impl FromStr for Destination {
    type Err = UnknownDestination;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let absolute =
            |path: &str| Path::new(path).is_absolute().then(|| PathBuf::from(path)).ok_or(UnknownDestination);
        match text.split_once(':') {
            None if text == "stdout" => Ok(Self::Stdout),
            None if text == "syslog" => Ok(Self::Syslog(SYSLOG.into())),
            Some(("file", path)) => absolute(path).map(Self::File),
            Some(("syslog", path)) => absolute(path).map(Self::Syslog),
            _ => Err(UnknownDestination),
        }
    }
}

/// No place for a trail.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the trail is written to `stdout`, `syslog`, or `file:/path`")]
pub struct UnknownDestination;

/// Why the trail cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("[audit] to: {path}: {error}", path = path.display())]
pub struct OpenError {
    path: PathBuf,
    error: io::Error,
}

enum Note {
    Line { success: bool, line: String },
    Settled(SyncSender<()>),
}

/// A trail that is open. It is closed when the last of its copies is dropped.
#[derive(Clone)]
pub struct Trail(SyncSender<Note>);

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trail")
    }
}

impl Trail {
    /// Opens the trail.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where the file cannot be opened, or nobody listens at the socket.
    pub fn open(destination: &Destination) -> Result<Self, OpenError> {
        let sink = match destination {
            Destination::File(path) => Sink::file(path),
            Destination::Stdout => Ok(Sink::Stdout),
            Destination::Syslog(path) => Sink::syslog(path),
        }?;
        let (notes, waiting) = mpsc::sync_channel(WAITING);
        thread::spawn(move || write_all(sink, &waiting));
        Ok(Self(notes))
    }

    pub(super) fn write(&self, success: bool, line: String) {
        if self.0.try_send(Note::Line { success, line }).is_err() {
            tracing::error!(reason = "audit_lost", "an audit line is lost: the disk is too slow");
        }
    }

    /// Waits until what was written so far is where it belongs, for a second at most.
    pub(super) fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        let (settled, done) = mpsc::sync_channel(1);
        let mut note = Note::Settled(settled);
        // Who reads no more must not keep a stop waiting: the queue may stay full for ever.
        while let Err(TrySendError::Full(refused)) = self.0.try_send(note) {
            if Instant::now() >= deadline {
                return;
            }
            note = refused;
            thread::sleep(PATIENCE / 100);
        }
        let _ = done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

enum Sink {
    File(File),
    Stdout,
    Syslog(UnixDatagram, PathBuf),
}

impl Sink {
    fn file(path: &Path) -> Result<Self, OpenError> {
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path);
        file.map(Self::File).map_err(|error| OpenError { path: path.to_owned(), error })
    }

    fn syslog(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_owned();
        match connected(&path) {
            Ok(socket) => Ok(Self::Syslog(socket, path)),
            Err(error) => Err(OpenError { path, error }),
        }
    }

    fn write(&mut self, success: bool, line: &str) -> io::Result<()> {
        match self {
            // One write a line: nothing comes in between, not even from another process.
            Self::File(file) => file.write_all(format!("{line}\n").as_bytes()),
            Self::Stdout => io::stdout().lock().write_all(format!("{line}\n").as_bytes()),
            Self::Syslog(socket, path) => {
                let priority = PRIORITIES[usize::from(success)];
                let datagram = format!("<{priority}>portillon[{}]: {line}", process::id());
                if socket.send(datagram.as_bytes()).is_err() {
                    // A daemon that was restarted listens at a new socket of this name.
                    *socket = connected(path)?;
                    socket.send(datagram.as_bytes())?;
                }
                Ok(())
            }
        }
    }
}

fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

fn write_all(mut sink: Sink, waiting: &Receiver<Note>) {
    while let Ok(note) = waiting.recv() {
        match note {
            Note::Line { success, line } => {
                if let Err(error) = sink.write(success, &line) {
                    tracing::error!(reason = "audit_lost", %error, "an audit line is lost");
                }
            }
            Note::Settled(settled) => drop(settled.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_read_from_its_text() {
        let read = |text: &str| text.parse::<Destination>().ok();
        assert_eq!(read("stdout"), Some(Destination::Stdout));
        assert_eq!(read("syslog"), Some(Destination::Syslog("/dev/log".into())));
        assert_eq!(read("file:/var/log/a"), Some(Destination::File("/var/log/a".into())));
        for wrong in ["", "file", "file:", "file:relative", "journald", "stdout:", "/var/log/a"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_syslog_that_was_restarted_gets_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = UnixDatagram::bind(&path).unwrap();
        let trail = Trail::open(&Destination::Syslog(path.clone())).unwrap();
        drop(syslog);
        std::fs::remove_file(&path).unwrap();
        trail.write(true, "lost".to_owned());
        trail.settle();
        let syslog = UnixDatagram::bind(&path).unwrap();
        syslog.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        trail.write(true, "next".to_owned());
        let mut received = [0; 256];
        let length = syslog.recv(&mut received).unwrap();
        assert!(received[..length].ends_with(b": next"));
    }

    #[test]
    fn nobody_waits_long_for_a_reader_that_reads_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _syslog = UnixDatagram::bind(&path).unwrap();
        let trail = Trail::open(&Destination::Syslog(path)).unwrap();
        let mut is_full = false;
        for _ in 0..100 * WAITING {
            let line = Note::Line { success: true, line: "{}".to_owned() };
            is_full = is_full || trail.0.try_send(line).is_err();
        }
        assert!(is_full);
        let (settled, done) = mpsc::channel();
        thread::spawn(move || {
            trail.settle();
            settled.send(()).unwrap();
        });
        assert!(done.recv_timeout(Duration::from_secs(30)).is_ok());
    }

    #[test]
    fn lines_are_added_to_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        for line in ["one", "two"] {
            let trail = Trail::open(&Destination::File(path.clone())).unwrap();
            trail.write(true, line.to_owned());
            trail.settle();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let nowhere = Trail::open(&Destination::File(folder.path().join("none/audit.log"))).unwrap_err();
        assert!(nowhere.to_string().contains("none/audit.log"), "{nowhere}");
    }

    #[test]
    fn syslog_gets_a_datagram_with_its_priority() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let syslog = UnixDatagram::bind(&path).unwrap();
        let trail = Trail::open(&Destination::Syslog(path)).unwrap();
        trail.write(false, "{}".to_owned());
        trail.write(true, "{}".to_owned());
        let mut received = [0; 256];
        for priority in [84, 86] {
            let length = syslog.recv(&mut received).unwrap();
            let expected = format!("<{priority}>portillon[{}]: {{}}", process::id());
            assert_eq!(std::str::from_utf8(&received[..length]).unwrap(), expected);
        }
    }
}
