//! The identité pivot, from verified claims to what an application receives.
//!
//! Claims are verified once, at login; names, encodings and the choice of claims of each route are compiled when the
//! configuration loads; a request only looks values up.

pub mod assertion;
pub mod claims;
pub mod encoding;
pub mod header;
mod release;
pub mod siret;

pub use assertion::{Assertion, AssertionIssuer};
pub use claims::{ClaimValue, Claims};
pub use encoding::Encoding;
pub use header::{HeaderPlan, HeaderPrefix, IdentityHeaders};
