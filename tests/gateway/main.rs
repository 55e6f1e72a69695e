//! The gateway in process, over real sockets: between a provider that can misbehave and an application that records
//! every byte. Each test ends with [`harness::World::finish`], which asserts the master invariant.
#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "the harness fails its test by panicking")]
#![allow(missing_docs, reason = "a test binary documents what its readers need, not every field")]

mod harness;
#[path = "../store/server.rs"]
#[allow(dead_code, reason = "the tests of the store use the rest")]
mod redis;

mod admin;
mod audit;
mod bodies;
mod callback;
mod conformance_basic;
mod conformance_config;
mod conformance_logout;
mod doctor;
mod explained;
mod forwarded;
mod group;
mod http2;
mod identity_headers;
mod kept_forms;
mod keys;
mod live_sessions;
mod load;
mod login;
mod logout;
mod logs;
mod many_hosts;
mod many_hosts_attacked;
mod open_connections;
mod pages;
mod paths;
mod policy;
mod portal;
mod provider_logout;
mod providers;
mod proxying;
mod recalled;
mod refresh;
mod reload;
mod responses;
mod revocation;
mod rules;
mod session;
mod signed;
mod smuggling;
mod step_up;
mod tls;
mod token;
mod upstreams;
mod userinfo;
mod websocket;
