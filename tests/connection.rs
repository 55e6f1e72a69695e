//! The connection layer over real sockets: a tiny gateway between raw clients and a raw upstream that records.
//!
//! Names such as C-SMUG-1 are those of the project's attack list. After each refusal a clean request is sent on a new
//! connection, and the upstream must have seen that one only.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails where the test does")]

#[path = "connection/harness.rs"]
mod harness;
#[path = "connection/http2.rs"]
mod http2;
#[path = "connection/keep_alive.rs"]
mod keep_alive;
#[path = "connection/limits.rs"]
mod limits;
#[path = "connection/shutdown.rs"]
mod shutdown;
#[path = "connection/smuggling.rs"]
mod smuggling;
#[path = "connection/sockets.rs"]
mod sockets;
