//! The gateway's own TLS: a connection made for one site is no way into another (RFC 9110 section 7.4; threats.md A3-6).

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::upstream::tls::Identity;
use crate::harness::world::Plan;
use crate::harness::{PAIE, Who, World};

/// The whole answer to a GET of a public page of `host`, over a connection that asked for `server_name`.
async fn asked(world: &World, identity: &Identity, server_name: &'static str, host: &str) -> String {
    let socket = TcpStream::connect(world.gateway().second.unwrap()).await.unwrap();
    let name = ServerName::try_from(server_name).unwrap();
    let mut stream = identity.connector().connect(name, socket).await.unwrap();
    let request = format!("GET /public/a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_made_for_one_site_is_no_way_into_another() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::new(&[PAIE, "elsewhere.test", "127.0.0.1"]);
    let mut plan = Plan::new().await;
    let listeners = r#"[{ address = "127.0.0.1:0", tls = false }, { address = "127.0.0.1:0" }]"#;
    plan.site.set("server", "listen", "[]").set("server", "listener", listeners);
    plan.site.set("server.tls", "certificates", &format!("[{}]", identity.write(folder.path())));
    plan.site.route("paie").public("/public/", &["GET"]);
    let world = plan.start().await;

    world.expects(Who::Public, "GET /public/a");
    assert!(asked(&world, &identity, PAIE, PAIE).await.starts_with("HTTP/1.1 200 "));
    world.expects(Who::Public, "GET /public/a");
    // RFC 6066 section 3: an address is no server name, so nothing was asked for.
    assert!(asked(&world, &identity, "127.0.0.1", PAIE).await.starts_with("HTTP/1.1 200 "));
    let answer = asked(&world, &identity, "elsewhere.test", PAIE).await;
    assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("Pingora"), "{answer}");
    world.finish().await;
}
