//! Carries out what operators order ([`Order`]).

use std::sync::Arc;

use crate::admin::order::{GOOD_FOR, Order, Report};
use crate::clock::Timestamp;
use crate::gateway::Site;
use crate::live::{LiveSession, Selection};
use crate::store::Scope;
use crate::store::records::{Key, RecordError, Table};
use crate::telemetry::audit::{Action, Event};

/// The sealed report on a sealed order; none where nobody with our keys gave it, or it came before.
pub(super) async fn obey(site: Arc<Site>, sealed: &str) -> Option<String> {
    let services = site.services.clone();
    let (keys, now) = (services.keys.load(), services.clock.now());
    let order = Order::open(sealed, &keys, now)?;
    // Gateways whose clocks differ take it for current at different times.
    let (key, until) = (Key::of("order", sealed.as_bytes()), now.plus(GOOD_FOR * 5));
    // Whoever gave it may go away meanwhile: it is carried out, and noted, all the same.
    let report = tokio::spawn(async move { once(&site, order, (&key, until)).await }).await.ok()??;
    Some(report.seal(sealed, &keys, services.clock.now()))
}

/// Carries out what was not ordered before, as far as the store knows; none where it was.
async fn once(site: &Site, order: Order, (key, until): (&Key, Timestamp)) -> Option<Report> {
    let outcome = match site.services.records.put_new(Table::OneTimeUse, key, &(), until).await {
        Ok(false) => return None,
        Ok(true) => carried_out(site, order).await,
        // What ends twice has ended.
        Err(_) if matches!(order, Order::End(_)) => carried_out(site, order).await,
        Err(error) => Err(error),
    };
    Some(outcome.unwrap_or_else(|error| Report::Unavailable(error.to_string())))
}

async fn carried_out(site: &Site, order: Order) -> Result<Report, RecordError> {
    match order {
        Order::List(selection) => {
            let sessions = alive(site, &selection).await?;
            let count = Some(sessions.len());
            site.audit.note(Event { count, ..Event::new(Action::SessionsListed, true, "order") });
            Ok(Report::Sessions(sessions))
        }
        Order::End(selection) => end(site, selection).await,
        Order::Tell(request_id) => Ok(Report::Decided(site.services.recent.find(&request_id).map(Box::new))),
    }
}

/// The sessions meant that are not over.
async fn alive(site: &Site, selection: &Selection) -> Result<Vec<LiveSession>, RecordError> {
    let services = &site.services;
    services
        .live
        .list(|session| selection.includes(session) && !services.revocations.end(&session.name(), &session.subject()))
        .await
}

async fn end(site: &Site, selection: Selection) -> Result<Report, RecordError> {
    let whose = match &selection {
        Selection::All => "order_all",
        Selection::IdentityProvider(_) => "order_idp",
        Selection::Agent { .. } => "order_agent",
        Selection::Session(_) => "order_session",
    };
    // Without the list, what can be named without it ends all the same.
    let sessions = alive(site, &selection).await;
    let known = sessions.as_ref().map_or(0, Vec::len);
    let outcome = ended(site, selection, sessions).await;
    tracing::info!(known, stored = *outcome.as_ref().unwrap_or(&false), "an operator ended sessions");
    site.audit.note(Event { count: Some(known), ..Event::new(Action::Revocation, outcome.is_ok(), whose) });
    outcome.map(|stored| Report::Ended { known, stored })
}

/// Whether the store has it.
async fn ended(
    site: &Site,
    selection: Selection,
    sessions: Result<Vec<LiveSession>, RecordError>,
) -> Result<bool, RecordError> {
    let mut stored = true;
    match selection {
        Selection::All => stored &= end_scope(site, Scope::All).await,
        Selection::IdentityProvider(idp_id) => stored &= end_scope(site, Scope::IdentityProvider(idp_id)).await,
        Selection::Agent { agent, provider } => {
            let scope = |sub| match provider.clone() {
                Some(provider) => Scope::AgentOfProvider { provider, sub },
                None => Scope::Agent(sub),
            };
            stored &= end_scope(site, scope(agent.clone())).await;
            // Whose address it is, only the list tells.
            let sessions = if agent.contains('@') { sessions? } else { sessions.unwrap_or_default() };
            for session in sessions.into_iter().filter(|session| session.sub != agent) {
                stored &= end_scope(site, scope(session.sub)).await;
            }
        }
        Selection::Session(_) => {
            for session in sessions? {
                stored &= site.sessions.end_named(session.name()).kept().await;
            }
        }
    }
    Ok(stored)
}

async fn end_scope(site: &Site, scope: Scope) -> bool {
    let (services, life) = (&site.services, site.sessions.remembered());
    let written = services.revocations.revoke_many(scope, life, &services.records).await;
    written.inspect_err(|error| tracing::warn!(%error, "sessions ended here; the store learns of it later")).is_ok()
}
