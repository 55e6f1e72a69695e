//! gateway

pub mod context;
