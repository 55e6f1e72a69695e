//! Upstreams: where a route's application listens, and how it is reached.

pub mod origin;
mod peer;
mod resolve;
pub mod tunnel;

pub use origin::Origin;
pub use peer::{Reach, Upstream, UpstreamError};
