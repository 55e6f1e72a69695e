//! The store on real ones: a redb file, and Redis alone, behind sentinels, in a cluster. Every server is started here on a
//! free port of loopback, and stopped.

#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::unwrap_used, reason = "a helper of a test fails where the test does")]

#[path = "store/conformance.rs"]
mod conformance;
#[path = "store/embedded.rs"]
mod embedded;
#[path = "store/records.rs"]
mod records;
#[path = "store/redis.rs"]
mod redis;
#[path = "store/revocations.rs"]
mod revocations;
#[path = "store/server.rs"]
mod server;
