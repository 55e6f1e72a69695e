//! The login: authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636), the way AgentConnect
//! runs it.
//!
//! One sealed cookie per attempt, bound to its `state`, holds what only this browser may know. The `state` itself is
//! sealed too and carries the page asked for, so that an answer that comes late, twice, or in another tab still ends
//! there. Rounds are counted: three logins that never arrive are a loop, and end with a page that says why.
//!
//! A login may be a step-up: that of an agent who has a session, which stays what it is until a better one takes its place.
//! What it asks the provider for goes with it in both, and is looked at when the agent comes back.
//!
//! Where many hosts have one login host, the same cookie and `state` pass the login on to each: [`hand_off`].

mod aim;
mod asks;
pub mod authorization;
pub mod callback;
pub mod hand_off;
mod redeemed;
pub mod refresh;
mod return_to;
pub mod rounds;
mod transaction;

pub use aim::Aim;
pub use asks::Asks;
pub use authorization::{Started, start};
pub use callback::{Answer, Outcome, answer};
pub use redeemed::Redeemed;
pub use return_to::{NotReturnable, ReturnTo};
