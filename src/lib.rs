//! Portillon: a reverse proxy that puts an AgentConnect login in front of applications that never heard of it.
//!
//! The journey of a request, and the file that takes each step:
//!
//! ```text
//! listener ─▶ gateway ─▶ gateway/request ─▶ route ─▶ session ─▶ policy ─▶ Permit ─▶ gateway/forward ─▶ upstream
//!                │             (parse once)              │          │                 (strip, identity, sign)
//!                │                                       ▼          ▼
//!                │                              login / logout   refusal page
//!                └────────────◀──────────── gateway/respond (our own answers, and what the upstream answers)
//! ```
//!
//! Imports go one way: `clock secret http_ext crypto` ← domain modules (`route session live store login logout oidc policy
//! identity signature stash upstream page telemetry`) ← `gateway` ← `listener`, `admin` ← `config`, which names all of their
//! types ← `server`, `explain` ← `demo`, `doctor`, `import` ← `cli` ← `main`. `tests/layers.rs` keeps these rules.

pub mod admin;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod gateway;
pub mod http_ext;
pub mod identity;
pub mod import;
pub mod listener;
pub mod live;
pub mod login;
pub mod logout;
pub mod oidc;
pub mod page;
pub mod policy;
pub mod route;
pub mod secret;
pub mod server;
pub mod session;
pub mod signature;
pub mod stash;
pub mod store;
pub mod telemetry;
pub mod upstream;
