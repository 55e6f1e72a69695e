//! The hand-off: how a host gets a session of its own where agents log in at one login host for many.
//!
//! Three redirects, the shape of the authorization code flow: the host that was asked sends the browser to the login
//! host with a `state`, whose cookie stays behind; the login host sends it back with a ticket, which holds what the
//! sessions of one login share. A ticket is sealed for the asking host, good once, for seconds, and only together with
//! the cookie of its `state`: it begins no session in another browser (RFC 9700 section 4.7), at another host, or later.
//! What a log or a `Referer` keeps of it opens nothing.

use std::collections::HashMap;

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::aim::Aim;
use super::authorization::Started;
use super::callback::{Outcome, without_attempt};
use super::redeemed::Redeemed;
use super::return_to::ReturnTo;
use super::transaction::{Attempt, NewAttempt, State, evicted, forgotten};
use crate::clock::Timestamp;
use crate::crypto::aead::Purpose;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::{equal, sha256};
use crate::session::cookie::OwnCookies;
use crate::session::{Session, Shared};

const PURPOSE: Purpose = Purpose::new("hand-off");

/// How long a ticket is good, in seconds: a redirect takes less than one.
const LIFE: u64 = 30;

/// A page address this long still travels in the `state`. The address that carries it then fits the `state` of the login
/// that the login host may have to begin.
const MOST_IN_STATE: usize = 192;

/// The longest ticket: the request line that brings it stays within the 8 KiB that front ends read.
const LONGEST: usize = 7000;

/// What a host asks the login host with.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The asking host's authority.
    pub authority: &'a str,
    /// What things are sealed for at the asking host: the host and its provider.
    pub host: &'a str,
    /// Where the login host takes such questions.
    pub hand_off_uri: &'a str,
    /// What the login is for.
    pub aim: Aim,
}

/// Sends the browser to the login host; the cookie that comes back with its answer stays here.
#[must_use]
pub fn ask(ask: Ask<'_>, cookies: &OwnCookies, keys: &KeyRing, now: Timestamp) -> Started {
    let new = NewAttempt::new(keys, ask.host, (ask.aim, MOST_IN_STATE), now);
    let location = address(ask.hand_off_uri, &[("host", ask.authority), ("state", &new.state)]);
    let cookies = evicted(cookies, new.cookie.len()).chain([new.cookie]).collect();
    Started { location, cookies }
}

/// What the login host is asked.
#[derive(Debug)]
pub struct Asked {
    /// The authority of the asking host, as the query has it.
    pub authority: String,
    state: String,
}

impl Asked {
    /// Reads the query of a question; none where it is no question.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let [authority, state] = only(query, ["host", "state"])?;
        Some(Self { authority, state })
    }

    /// What the login is for, where the asking host, where things are sealed for `host`, made this question: nobody else
    /// can.
    #[must_use]
    pub fn aim(&self, host: &str, keys: &KeyRing) -> Option<Aim> {
        Some(State::open(keys, host, &self.state)?.aim)
    }

    /// Where the agent of `session` goes with a ticket for the asking host, which takes it at `hand_off_uri`; none where
    /// the claims are too many for an address.
    #[must_use]
    pub fn answer(
        &self,
        session: &Session,
        (host, hand_off_uri): (&str, &str),
        clock: (&KeyRing, Timestamp),
    ) -> Option<String> {
        let (keys, now) = clock;
        let ticket = Ticket {
            state_hash: sha256(self.state.as_bytes()),
            expires: Timestamp::from_secs(now.as_secs() + LIFE),
            shared: session.shared(),
        };
        let ticket = keys.seal_value(PURPOSE, host, &ticket, now);
        (ticket.len() <= LONGEST).then(|| address(hand_off_uri, &[("state", &self.state), ("ticket", &ticket)]))
    }
}

/// What the asking host gets, sealed for it.
#[derive(Deserialize, Serialize)]
struct Ticket {
    state_hash: [u8; 32],
    expires: Timestamp,
    shared: Shared,
}

/// A ticket that a browser brought back.
#[derive(Debug)]
pub struct Brought {
    state: String,
    ticket: String,
}

/// What a ticket is judged by.
pub struct Context<'a> {
    /// What things are sealed for at the host that got it: the host and its provider.
    pub host: &'a str,
    /// The cookies that came with it.
    pub cookies: &'a OwnCookies,
    /// The valid session that came with it.
    pub session: Option<&'a Session>,
    /// The keys that sealed it.
    pub keys: &'a KeyRing,
    /// The tickets redeemed before, at any gateway.
    pub redeemed: &'a Redeemed,
    /// The present.
    pub now: Timestamp,
}

/// A ticket that is good: it was, it is no longer.
#[derive(Debug)]
pub struct HandedOver {
    /// What the session is made of.
    pub shared: Shared,
    /// What the login was for.
    pub aim: Aim,
    /// The `Set-Cookie` value that removes the attempt's cookie.
    pub forget: HeaderValue,
}

impl Brought {
    /// Reads the query of an answer; none where it is no answer.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let [state, ticket] = only(query, ["state", "ticket"])?;
        Some(Self { state, ticket })
    }

    /// Redeems the ticket.
    ///
    /// # Errors
    ///
    /// What becomes of the agent where it is not good: never [`Outcome::LoggedIn`] or [`Outcome::Failed`].
    pub async fn redeem(&self, context: &Context<'_>) -> Result<HandedOver, Box<Outcome>> {
        // Wherever a ticket turns up first, it is used up: whoever finds it later finds nothing.
        let ticket: Option<Ticket> = context.keys.open_value(PURPOSE, context.host, &self.ticket);
        let first = match &ticket {
            Some(ticket) => context.redeemed.first_time(&self.ticket, ticket.expires).await,
            None => Ok(false),
        };
        let Some(state) = State::open(context.keys, context.host, &self.state) else {
            let lost = if context.session.is_some() { Outcome::Return(ReturnTo::root()) } else { Outcome::Lost };
            return Err(Box::new(lost));
        };
        let first = match first {
            Ok(first) => first,
            Err(error) => return Err(Box::new(Outcome::Unknown { return_to: state.aim.return_to, error })),
        };
        let attempt = Attempt::of(&self.state, context.cookies, context.keys, context.host, context.now);
        let good = ticket.filter(|ticket| first && ticket.is_of(&self.state, context.now));
        match (attempt, good) {
            (Some(attempt), Some(Ticket { shared, .. })) => {
                Ok(HandedOver { shared, aim: attempt.aim, forget: forgotten(&self.state) })
            }
            _ => Err(Box::new(without_attempt(state, context.session, context.now))),
        }
    }
}

impl Ticket {
    fn is_of(&self, state: &str, now: Timestamp) -> bool {
        equal(&self.state_hash, &sha256(state.as_bytes())) && now < self.expires
    }
}

/// The values of these parameters, where the query has each of them once and nothing else.
fn only<const N: usize>(query: &str, names: [&str; N]) -> Option<[String; N]> {
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let mut values: HashMap<String, String> = pairs.iter().cloned().collect();
    let complete = pairs.len() == N && values.len() == N;
    let found: Vec<String> = names.iter().filter_map(|name| values.remove(*name)).collect();
    found.try_into().ok().filter(|_| complete)
}

fn address(uri: &str, parameters: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{uri}?{query}")
}
