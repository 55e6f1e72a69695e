//! Rules: who may enter. Pure; compiled when the configuration loads.
//!
//! Public sub-paths are looked at first, then deny, then allow: a deny block that holds refuses; without any allow
//! block every agent enters; else one allow block must hold. Within a block all conditions hold. A claim that is absent
//! never satisfies a condition and never skips one.

mod permit;
mod rules;

pub use permit::{Admission, Permit};
pub use rules::{Block, BlockOrigin, Condition, PublicRule, Refusal, Rules};
