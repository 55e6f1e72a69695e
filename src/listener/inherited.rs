//! The sockets that systemd passes to the process (`sd_listen_fds(3)`), by name.

use std::io;
use std::sync::{LazyLock, Mutex, PoisonError};

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::socket::Socket;

/// Read once: the variables are removed from the environment so that no child takes our sockets for its own.
static INHERITED: LazyLock<Mutex<Inherited>> = LazyLock::new(|| Mutex::new(Inherited::from_env()));

/// Every socket passed under `name`, each given out once. `Ok(Err(names))` where there is none: what there is instead.
pub(super) fn take(name: &str) -> io::Result<Result<Vec<Socket>, String>> {
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner).take(name)
}

struct Inherited {
    names: Vec<String>,
    sockets: ListenFd,
}

impl Inherited {
    fn from_env() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let sockets = ListenFd::from_env();
        Self { names: names_of(&names, sockets.len()), sockets }
    }

    fn take(&mut self, name: &str) -> io::Result<Result<Vec<Socket>, String>> {
        let mut taken = Vec::new();
        for index in (0..self.names.len()).filter(|index| self.names[*index] == name) {
            taken.extend(take_one(&mut self.sockets, index)?);
        }
        Ok(if taken.is_empty() { Err(self.available()) } else { Ok(taken) })
    }

    fn available(&self) -> String {
        if self.names.is_empty() { "none".to_owned() } else { self.names.join(", ") }
    }
}

/// The names of `count` sockets: systemd joins them with colons, and calls those without one `unknown`.
fn names_of(joined: &str, count: usize) -> Vec<String> {
    let given = joined.split(':').filter(|name| !name.is_empty()).map(str::to_owned);
    given.chain(std::iter::repeat_with(|| "unknown".to_owned())).take(count).collect()
}

fn take_one(sockets: &mut ListenFd, index: usize) -> io::Result<Option<Socket>> {
    // A socket of the other family stays where it is.
    if let Ok(tcp) = sockets.take_tcp_listener(index) {
        return tcp.map(adopt_tcp).transpose();
    }
    sockets.take_unix_listener(index)?.map(adopt_unix).transpose()
}

fn adopt_tcp(listener: std::net::TcpListener) -> io::Result<Socket> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener).map(Socket::Tcp)
}

/// The file of the socket is systemd's: it outlives us.
fn adopt_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Socket> {
    listener.set_nonblocking(true)?;
    Ok(Socket::Unix { listener: UnixListener::from_std(listener)?, _file: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_with_the_sockets_in_order() {
        assert_eq!(names_of("http:https:http", 3), ["http", "https", "http"]);
        assert_eq!(names_of("http", 2), ["http", "unknown"]);
        assert_eq!(names_of("http:https", 1), ["http"]);
        assert!(names_of("", 0).is_empty());
    }

    #[test]
    fn a_name_that_was_not_passed_says_which_were() {
        let mut inherited = Inherited { names: names_of("http:admin", 2), sockets: ListenFd::empty() };
        assert_eq!(inherited.take("https").unwrap().unwrap_err(), "http, admin");
        let mut none = Inherited { names: Vec::new(), sockets: ListenFd::empty() };
        assert_eq!(none.take("https").unwrap().unwrap_err(), "none");
    }
}
