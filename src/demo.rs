//! The demonstration: an AgentConnect of our own and a small legacy application, both on loopback, and a walk through
//! one login between them.
//!
//! Nothing here takes part in protecting a real application. [`provider`] is also the honest provider of the tests.

pub mod agents;
pub mod application;
pub mod browser;
pub mod configuration;
pub mod folder;
pub mod provider;
pub mod site;
pub mod tour;

/// The style sheet of the demonstration's pages.
const STYLE: &str = include_str!("demo/style.css");
