//! Where the gateway listens: addresses as the configuration writes them, and the sockets bound to them.
//!
//! Everything is bound before anything starts, so that an address in use stops the start with a plain sentence.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use pingora::protocols::GetSocketDigest as _;
use pingora::protocols::SocketDigest;
use pingora::protocols::l4::stream::Stream;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use super::inherited;
use crate::gateway::context::Peer;

/// As many connections wait for us as the system lets (`net.core.somaxconn`) below this.
const BACKLOG: u32 = 4096;
/// Who may connect to a unix socket that has no mode of its own: its owner and its group.
const UNIX_MODE: u32 = 0o660;

/// Where to listen.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Address {
    /// `fd:name`: the sockets that systemd passes under this name (`FileDescriptorName=`).
    Fd(String),
    /// `addr:port`
    Tcp(SocketAddr),
    /// `unix:/path`
    Unix(PathBuf),
}

impl Address {
    /// The address, where it is one of TCP.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Fd(_) | Self::Unix(_) => None,
        }
    }
}

/// Why a text is no [`Address`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    /// The name after `fd:` is empty.
    #[error("\"fd:\" is followed by the name of a socket unit's FileDescriptorName=")]
    FdName,
    /// The text has none of the three forms.
    #[error("an address is \"addr:port\" with a numeric address, \"unix:/path\" or \"fd:name\"")]
    Form,
    /// The path after `unix:` does not start with `/`.
    #[error("\"unix:\" is followed by an absolute path")]
    UnixPath,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(name) = text.strip_prefix("fd:") {
            return if name.is_empty() { Err(AddressError::FdName) } else { Ok(Self::Fd(name.to_owned())) };
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(AddressError::UnixPath) };
        }
        text.parse().map(Self::Tcp).map_err(|_| AddressError::Form)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fd(name) => write!(f, "fd:{name}"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One listener to open.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Where.
    pub address: Address,
    /// TLS ends here, with these certificates; plain HTTP where there is none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may connect to a unix socket; `0o660` where nothing is said. Means nothing elsewhere.
    pub mode: Option<u32>,
}

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("cannot listen on {address}: another process listens there")]
    InUse {
        /// The address asked for.
        address: Address,
    },
    /// The system says no.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// The address asked for.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// What stands at the path of a unix socket is no socket, so it is not ours to remove.
    #[error("cannot listen on {address}: what is there is not a socket")]
    NotASocket {
        /// The address asked for.
        address: Address,
    },
    /// systemd passed no socket of this name, or it was taken already.
    #[error("cannot listen on {address}: no such socket was passed on; passed on are: {available}")]
    NotInherited {
        /// The address asked for.
        address: Address,
        /// The names of the sockets that were passed, or "none".
        available: String,
    },
}

/// A listener that is open, and accepts nothing yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: Socket,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    address: Address,
}

impl Bound {
    /// The address that the configuration asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The address in force, where a port 0 has become a port; `None` for a unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix { .. } => None,
        }
    }

    /// The socket itself, non-blocking, for who accepts by himself; `None` for a unix socket.
    ///
    /// # Errors
    /// What the system says when the socket leaves the runtime.
    pub fn into_tcp(self) -> io::Result<Option<std::net::TcpListener>> {
        match self.socket {
            Socket::Tcp(listener) => listener.into_std().map(Some),
            Socket::Unix { .. } => Ok(None),
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    /// The file goes away with its socket; one that systemd made is not ours.
    Unix {
        listener: UnixListener,
        _file: Option<SocketFile>,
    },
}

impl Socket {
    /// The next connection, and who it is from.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, address) = listener.accept().await?;
                // An answer's last packet must not wait for an acknowledgement; a socket without it still works.
                let _ = tcp.set_nodelay(true);
                Ok((with_digest(Stream::from(tcp), Some(address)), Peer::Tcp(address)))
            }
            Self::Unix { listener, .. } => {
                let (unix, _) = listener.accept().await?;
                Ok((with_digest(Stream::from(unix), None), Peer::Unix))
            }
        }
    }
}

/// pingora asks the digest for the peer's address, and would otherwise ask the kernel each time.
fn with_digest(mut stream: Stream, peer: Option<SocketAddr>) -> Stream {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    let _ = digest.peer_addr.set(peer.map(Into::into));
    stream.set_socket_digest(digest);
    stream
}

/// Opens every listener, or none.
///
/// An `fd:name` opens as many as systemd passes under that name. Must be called inside a Tokio runtime.
///
/// # Errors
/// The first [`BindError`]; what was open is closed again.
pub fn bind(bindings: &[Binding]) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::with_capacity(bindings.len());
    for binding in bindings {
        for socket in open(binding)? {
            bound.push(Bound { socket, tls: binding.tls.clone(), address: binding.address.clone() });
        }
    }
    Ok(bound)
}

fn open(binding: &Binding) -> Result<Vec<Socket>, BindError> {
    let address = &binding.address;
    match address {
        Address::Fd(name) => inherited::take(name)
            .map_err(|source| failed(address, source))?
            .map_err(|available| BindError::NotInherited { address: address.clone(), available }),
        Address::Tcp(to) => bind_tcp(*to).map(|socket| vec![socket]).map_err(|source| failed(address, source)),
        Address::Unix(path) => {
            remove_stale(address, path)?;
            let mode = binding.mode.unwrap_or(UNIX_MODE);
            bind_unix(path, mode).map(|socket| vec![socket]).map_err(|source| failed(address, source))
        }
    }
}

fn failed(address: &Address, source: io::Error) -> BindError {
    let address = address.clone();
    if source.kind() == io::ErrorKind::AddrInUse {
        BindError::InUse { address }
    } else {
        BindError::Io { address, source }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG).map(Socket::Tcp)
}

/// The mode is set before the socket listens: nobody can connect in between.
fn bind_unix(path: &Path, mode: u32) -> io::Result<Socket> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile::at(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(Socket::Unix { listener: socket.listen(BACKLOG)?, _file: Some(file) })
}

/// Removes the socket that a gateway which was killed left behind; never one that somebody listens on.
fn remove_stale(address: &Address, path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(address, source)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket { address: address.clone() }),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| failed(address, source))
        }
        Err(source) => Err(failed(address, source)),
        Ok(_) => Err(BindError::InUse { address: address.clone() }),
    }
}

/// The file of a unix socket, removed at the end unless another process has put its own there.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    fn is_still_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_still_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(address: Address) -> [Binding; 1] {
        [Binding { address, tls: None, mode: None }]
    }

    #[test]
    fn addresses_are_read_as_the_configuration_writes_them() {
        for text in ["127.0.0.1:8080", "[::1]:0", "unix:/run/portillon.sock", "fd:https"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for (text, error) in [
            ("localhost:80", AddressError::Form),
            ("127.0.0.1", AddressError::Form),
            ("", AddressError::Form),
            ("unix:run/a", AddressError::UnixPath),
            ("unix:", AddressError::UnixPath),
            ("fd:", AddressError::FdName),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let first = bind(&binding(Address::Tcp(([127, 0, 0, 1], 0).into()))).unwrap();
        let address = first[0].local_addr().unwrap();
        let error = bind(&binding(Address::Tcp(address))).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn a_unix_socket_has_its_mode_and_goes_away_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let bindings = [Binding { address: Address::Unix(path.clone()), tls: None, mode: Some(0o600) }];
        let bound = bind(&bindings).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind(&bindings), Err(BindError::InUse { .. })));
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_killed_gateway_left_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bound = bind(&binding(Address::Unix(path.clone()))).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, UNIX_MODE);
        // A gateway that took over has put its own socket there; the old one must not remove it.
        fs::remove_file(&path).unwrap();
        let successor = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists());
        drop(successor);

        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&binding(Address::Unix(path.clone()))), Err(BindError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn a_socket_that_nobody_passed_is_an_error_that_says_so() {
        let error = bind(&binding(Address::Fd("https".to_owned()))).unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on fd:https: no such socket"), "{error}");
    }
}
