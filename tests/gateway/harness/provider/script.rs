//! How a provider misbehaves.

use std::sync::Arc;
use std::time::Duration;

use portillon::crypto::signing::SigningKey;
use serde_json::{Map, Value};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::Endpoint;
use crate::harness::wire;

/// Everything that a provider may do otherwise than AgentConnect. By default nothing.
#[derive(Clone, Default)]
pub struct Script {
    /// Changes to the parameters of the authorization response.
    pub authorization_response: Vec<Edit>,
    /// What the discovery endpoint answers.
    pub discovery: Reply,
    /// What the end session endpoint redirects to.
    pub logout_return: LogoutReturn,
    /// What the JWKS endpoint answers.
    pub jwks: Reply,
    /// Changes to the metadata.
    pub metadata: Vec<Edit>,
    /// What the token endpoint answers.
    pub token: Reply,
    /// Changes to the token response.
    pub token_response: Vec<Edit>,
    /// Changes to the ID token.
    pub id_token: Jwt,
    /// What the userinfo endpoint answers.
    pub user_info: Reply,
    /// Changes to the userinfo answer, signed or not.
    pub user_info_claims: Jwt,
}

impl Script {
    pub(super) fn reply(&self, endpoint: Endpoint) -> Reply {
        match endpoint {
            Endpoint::Discovery => self.discovery.clone(),
            Endpoint::Jwks => self.jwks.clone(),
            Endpoint::Token => self.token.clone(),
            Endpoint::UserInfo => self.user_info.clone(),
            Endpoint::Authorization | Endpoint::EndSession | Endpoint::Other | Endpoint::Revocation => Reply::Honest,
        }
    }
}

/// A change to named members.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Takes it away.
    Remove(&'static str),
    /// Sets it.
    Set(&'static str, Value),
}

impl Edit {
    /// Sets a member.
    pub fn set(name: &'static str, value: impl Into<Value>) -> Self {
        Self::Set(name, value.into())
    }

    pub(super) fn apply(edits: &[Self], members: &mut Map<String, Value>) {
        for edit in edits {
            match edit {
                Self::Remove(name) => drop(members.remove(*name)),
                Self::Set(name, value) => {
                    members.insert((*name).to_owned(), value.clone());
                }
            }
        }
    }

    pub(super) fn apply_to_parameters(edits: &[Self], parameters: &mut Vec<(String, String)>) {
        for edit in edits {
            let (Self::Remove(name) | Self::Set(name, _)) = edit;
            parameters.retain(|(parameter, _)| parameter != name);
            if let Self::Set(_, value) = edit {
                parameters.push(((*name).to_owned(), value.as_str().unwrap_or_default().to_owned()));
            }
        }
    }
}

/// Changes to a token.
#[derive(Clone, Default)]
pub struct Jwt {
    /// Changes to its header.
    pub header: Vec<Edit>,
    /// Changes to its claims.
    pub claims: Vec<Edit>,
    /// Who signs it.
    pub signer: Signer,
    /// This very text in its place.
    pub raw: Option<String>,
}

/// Who signs a token.
#[derive(Clone, Default)]
pub enum Signer {
    /// The provider, but one bit of the signature is wrong.
    Garbled,
    /// Some key; the header names its algorithm and `kid`.
    Key(Arc<SigningKey>),
    /// These bytes stand in the place of a signature.
    Literal(Vec<u8>),
    /// The provider's key of another algorithm.
    Other(&'static str),
    /// The provider, as registered.
    #[default]
    Registered,
}

/// What an endpoint answers.
#[derive(Clone, Debug, Default)]
pub enum Reply {
    /// These bytes, then one more byte every 50 ms, for ever.
    Drip(Vec<u8>),
    /// These bytes, then more as fast as they are read.
    Endless(Vec<u8>),
    /// The connection ends instead.
    Hangup,
    /// What it should.
    #[default]
    Honest,
    /// Nothing, ever.
    Never,
    /// These bytes, then the connection ends.
    Raw(Vec<u8>),
}

impl Reply {
    /// An answer with this status and body.
    pub fn status(status: &str, content_type: &str, body: &str) -> Self {
        Self::Raw(wire::response(status, &[("Content-Type", content_type), ("Connection", "close")], body))
    }

    /// A `200` JSON answer.
    pub fn json(body: &str) -> Self {
        Self::status("200 OK", "application/json", body)
    }

    /// A redirect.
    pub fn redirect(status: &str, location: &str) -> Self {
        Self::Raw(wire::response(status, &[("Location", location), ("Connection", "close")], ""))
    }

    /// Whether the connection can serve another request afterwards.
    pub(super) async fn write(&self, honest: &[u8], out: &mut (impl AsyncWrite + Unpin)) -> bool {
        match self {
            Self::Honest => out.write_all(honest).await.is_ok(),
            Self::Raw(bytes) => {
                let _ = out.write_all(bytes).await;
                false
            }
            Self::Hangup => false,
            Self::Never => std::future::pending().await,
            Self::Drip(head) => trickle(out, head, b" ", Duration::from_millis(50)).await,
            Self::Endless(head) => trickle(out, head, &[b' '; 64 * 1024], Duration::ZERO).await,
        }
    }
}

async fn trickle(out: &mut (impl AsyncWrite + Unpin), head: &[u8], more: &[u8], pause: Duration) -> bool {
    let mut open = out.write_all(head).await.is_ok();
    while open {
        tokio::time::sleep(pause).await;
        open = out.write_all(more).await.is_ok() && out.flush().await.is_ok();
    }
    false
}

/// Where a logout returns to.
#[derive(Clone, Copy, Debug, Default)]
pub enum LogoutReturn {
    /// To the `post_logout_redirect_uri`, with the `state` that came.
    #[default]
    Honest,
    /// To the same without a `state`.
    NoState,
    /// To the same with another `state`.
    OtherState,
}
