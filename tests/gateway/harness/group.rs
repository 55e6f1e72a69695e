//! Several gateways of one site that share a Redis.

use super::gateway::Gateway;
use super::world::{Plan, World};
use crate::redis::Server;

/// A gateway that shares everything with those of the same Redis; `staleness` as in the configuration.
pub async fn sharing(redis: &Server, staleness: &str) -> World {
    let mut plan = Plan::new().await;
    share(&mut plan, redis, staleness);
    plan.start().await
}

/// Has a gateway keep in `redis` what the group shares.
pub fn share(plan: &mut Plan, redis: &Server, staleness: &str) {
    let url = format!("\"redis://127.0.0.1:{}\"", redis.port);
    plan.site.set("store", "kind", "\"redis\"").set("store", "url", &url).set("store", "staleness", staleness);
}

/// Another gateway of the same site: same keys, a state of its own.
pub async fn sibling(world: &World, folder: &tempfile::TempDir) -> Gateway {
    let mut site = world.site.clone();
    site.set("server", "keys_dir", &format!("{:?}", world.folder.path().join("keys")));
    Gateway::start(&site, folder.path(), &world.clock).await.unwrap()
}
