//! Rules: who may enter. Pure; compiled when the configuration loads.
//!
//! Public sub-paths are looked at first, then deny, then allow: a deny block that holds refuses; without any allow
//! block every agent enters; else one allow block must hold. Within a block all conditions hold. A claim that is absent
//! never satisfies a condition and never skips one.
//!
//! Where nothing but the level of authentication keeps an agent out, [`Rules::step_up`] knows which levels would not.
//!
//! Lists are hash sets and intervals, so that a verdict takes as long with one value as with a hundred thousand. What
//! it was based on is put into words only where somebody asks: see [`Rules::examine`].

mod condition;
mod domain;
mod examine;
mod facts;
mod glob;
mod network;
mod permit;
mod rules;
mod step_up;
mod time;
mod values;

pub use condition::{Condition, Outcome, Subject, Test};
pub use domain::{DomainError, Domains};
pub use examine::{Examined, Finding, Kind};
pub use facts::{Circumstances, Facts};
pub use glob::{GlobError, Globs};
pub use network::Networks;
pub use permit::{Admission, Permit};
pub use rules::{Block, BlockOrigin, PublicRule, Refusal, Rules};
pub use time::{Hours, TimeError, Weekdays, Window, Zone};
pub use values::{Value, Values};
