//! What the tests are made of: a provider, an application, a browser, and a gateway between them.

pub mod agent;
pub mod browser;
pub mod client;
pub mod cookies;
pub mod gateway;
pub mod group;
pub mod identity;
pub mod invariant;
pub mod logs;
pub mod proof;
pub mod provider;
pub mod site;
pub mod upstream;
pub mod wire;
pub mod world;

pub use agent::Agent;
pub use browser::{Browser, CALLBACK, Page};
pub use client::{Connection, Request, Response};
pub use provider::{Edit, Endpoint, Jwt, Reply, Signer};
pub use provider::{LogoutReturn, Provider, ec_key, rsa_key};
pub use site::Route;
pub use upstream::{Answer, Upstream, Who};
pub use world::{DOCS, HOME, LOGIN, PAIE, Plan, RIE, World};
