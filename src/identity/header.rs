//! The identity headers of one route, compiled when the configuration loads.

/// Placeholder until the plan is written.
#[derive(Debug)]
pub struct HeaderPlan;
