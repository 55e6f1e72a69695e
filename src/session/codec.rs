//! The bytes of a session, before they are sealed: a version, then postcard.

use serde::{Deserialize, Serialize};

use super::{AtProvider, Identity, LoginId, Session};
use crate::clock::Timestamp;
use crate::identity::Claims;
use crate::secret::Secret;

const VERSION: u8 = 5;

/// What a login gives a session.
#[derive(Debug)]
pub struct Login {
    /// What the provider knows it by.
    pub at_provider: AtProvider,
    /// The verified claims of the agent.
    pub claims: Claims,
    /// When the agent authenticated at the provider.
    pub authenticated_at: Timestamp,
    /// The ID token, which logout sends back as `id_token_hint`.
    pub id_token: Secret<String>,
    /// What the provider is asked again with, where it gave it.
    pub refresh_token: Option<Secret<String>>,
    /// The login that this one goes on with: the same agent's, in the same browser. None: a login of its own.
    pub continues: Option<LoginId>,
}

/// What the sessions of one login have in common: what one of them hands to another.
#[derive(Debug, Deserialize, Serialize)]
pub struct Shared {
    /// The login.
    pub login: LoginId,
    /// What the provider knows it by.
    pub at_provider: AtProvider,
    /// When the agent logged in.
    pub logged_in_at: Timestamp,
    /// The revocation that was known there: see [`Subject::knew`](crate::store::Subject::knew).
    pub knew: Timestamp,
    /// When the agent authenticated at the provider.
    pub authenticated_at: Timestamp,
    /// Who the agent is.
    pub identity: Identity,
}

/// What is written: borrowed, so that sealing again, which activity asks for every minute, copies no claims and leaves no
/// second ID token in memory. The fields of [`Payload`], in its order.
#[derive(Serialize)]
struct PayloadRef<'a> {
    id: &'a [u8; 16],
    login: LoginId,
    at_provider: &'a AtProvider,
    logged_in_at: Timestamp,
    knew: Timestamp,
    authenticated_at: Timestamp,
    identified_at: Timestamp,
    active_at: Timestamp,
    claims: &'a Claims,
    id_token: Option<&'a str>,
}

#[derive(Deserialize)]
struct Payload {
    id: [u8; 16],
    login: LoginId,
    at_provider: AtProvider,
    logged_in_at: Timestamp,
    knew: Timestamp,
    authenticated_at: Timestamp,
    identified_at: Timestamp,
    active_at: Timestamp,
    claims: Claims,
    id_token: Option<String>,
}

/// A session as its cookie holds it: with the ID token, where that was small enough to keep.
pub(super) struct Record {
    pub(super) session: Session,
    pub(super) id_token: Option<Secret<String>>,
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let payload = PayloadRef {
            id: &self.session.id.0,
            login: self.session.login,
            at_provider: &self.session.at_provider,
            logged_in_at: self.session.logged_in_at,
            knew: self.session.knew,
            authenticated_at: self.session.authenticated_at,
            identified_at: self.session.identified_at,
            active_at: self.session.active_at,
            claims: &self.session.claims,
            id_token: self.id_token.as_ref().map(|token| token.expose().as_str()),
        };
        postcard::to_extend(&payload, vec![VERSION]).expect("a session is plain data")
    }

    /// Reads what [`Record::encode`] wrote; another version is no session.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, payload) = bytes.split_first()? else { return None };
        let payload: Payload = postcard::from_bytes(payload).ok()?;
        let session = Session::new(payload.id, payload.claims, payload.logged_in_at, payload.active_at)
            .of_login(payload.login)
            .at(payload.at_provider)
            .knowing(payload.knew)
            .authenticated(payload.authenticated_at);
        Some(Self {
            session: Session { identified_at: payload.identified_at, ..session },
            id_token: payload.id_token.map(Secret::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ClaimValue;

    #[test]
    fn a_record_survives_and_another_version_is_none() {
        let mut claims = Claims::new("s");
        claims.insert("roles", ClaimValue::List(vec!["a".into(), "b".into()]));
        claims.insert("custom", ClaimValue::Json("{\"a\":1}".into()));
        let session =
            Session::new([7; 16], claims, Timestamp::from_secs(1), Timestamp::from_secs(2)).of_login(LoginId([8; 16]));
        let session = Session { identified_at: Timestamp::from_secs(3), ..session }.knowing(Timestamp::from_secs(4));
        let session = session.authenticated(Timestamp::from_secs(5));
        let session = session.at(AtProvider { provider: "p".into(), sid: Some("sid-1".into()) });
        let mut bytes = Record { session: session.clone(), id_token: Some(Secret::from("a.b.c")) }.encode();
        let read = Record::decode(&bytes).unwrap();
        assert_eq!((read.session.claims(), read.session.active_at), (session.claims(), session.active_at));
        assert_eq!((read.session.identified_at(), read.session.knew), (session.identified_at(), session.knew));
        assert_eq!(read.session.authenticated_at(), session.authenticated_at());
        assert_eq!(read.session.at_provider(), session.at_provider());
        assert_eq!((read.session.id(), read.session.login()), (session.id(), session.login()));
        assert_eq!(read.id_token.unwrap().expose(), "a.b.c");
        bytes[0] = 1;
        assert!(Record::decode(&bytes).is_none() && Record::decode(&[]).is_none());
    }
}
