//! Upstreams: where a route's application listens, and how it is reached.

mod hold;
pub mod origin;
mod peer;
mod resolve;

pub use hold::Hold;
pub use origin::Origin;
pub use peer::{Reach, Upstream, UpstreamError};
