//! Redis: alone, with a password, over TLS, behind a sentinel, in a cluster.

use std::process::Command;
use std::sync::Arc;

use portillon::store::redis::Mode;
use portillon::store::{Cursor, Journal as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::conformance::{entry, holds, rest};
use crate::records::keeps_records;
use crate::server::{Server, free_port, journal, secret, settings};

#[tokio::test]
async fn a_single_server_is_a_journal() {
    let server = Server::start(&[]);
    holds(&journal(&server.settings()), &journal(&server.settings())).await;
    assert!(server.cli(&["keys", "*"]).lines().all(|key| key.starts_with("portillon:")), "every key has the prefix");
    let ttl: u64 = server.cli(&["ttl", "portillon:ended-sessions"]).trim().parse().unwrap();
    assert!((12 * 3600..=14 * 3600).contains(&ttl), "what nobody needs any more goes away by itself: {ttl}");
}

#[tokio::test]
async fn a_user_needs_their_password() {
    // The rights that docs/sessions.md asks for, and no other.
    let user = "user portillon on >s3same ~portillon:* +xadd +xread +xrange +expire +set +get +getdel +del +zadd +zrem +zscan \
                +zremrangebyscore +hello +client +ping +cluster";
    let server = Server::start(&["user default off", user]);
    let right = |password| {
        let mut settings = server.settings();
        (settings.user, settings.password) = (Some("portillon".to_owned()), secret(password));
        journal(&settings)
    };
    right("s3same").append(&[entry(1)]).await.unwrap();
    assert_eq!(rest(&right("s3same"), &Cursor::default()).await.entries, [entry(1)]);
    keeps_records(Arc::new(right("s3same")), Arc::new(right("s3same"))).await;
    for refused in [right("sesame"), journal(&server.settings())] {
        let error = refused.append(&[entry(2)]).await.unwrap_err().to_string();
        assert!(!error.contains("sesame") && !error.contains("s3same"), "{error}");
    }
}

#[tokio::test]
async fn a_server_over_tls_is_the_one_that_its_authority_vouches_for() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, theirs) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ours).unwrap();
    std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(path("ca.pem"), ours.pem()).unwrap();
    let port = free_port();
    let lines = [
        format!("tls-port {port}"),
        format!("tls-cert-file {:?}", path("cert.pem")),
        format!("tls-key-file {:?}", path("key.pem")),
        format!("tls-ca-cert-file {:?}", path("ca.pem")),
        "tls-auth-clients no".to_owned(),
    ];
    let _server = Server::start(&lines.each_ref().map(String::as_str));
    let trusting = |authority: &CertifiedIssuer<'static, KeyPair>| {
        let mut settings = settings(Mode::Single, format!("rediss://localhost:{port}"));
        settings.ca = vec![authority.der().clone()];
        journal(&settings)
    };
    trusting(&ours).append(&[entry(1)]).await.unwrap();
    assert_eq!(rest(&trusting(&ours), &Cursor::default()).await.entries, [entry(1)]);
    trusting(&theirs).append(&[entry(2)]).await.unwrap_err();
}

#[test]
fn check_says_whether_the_store_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portillon.toml");
    let mut server = Server::start(&[]);
    let told = |port: u16| {
        let text = format!(
            "[provider]\nenvironment = \"integration\"\nclient_id = \"c\"\nclient_secret = {{ value = \"s3cr3t-of-a-test\" }}\n\
             [store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:{port}\"\n\
             [[route]]\nname = \"paie\"\nhost = \"paie.example\"\nupstream = \"http://127.0.0.1:1\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_portillon")).arg("check").arg("--config").arg(&file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "a store that is down makes no configuration wrong");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(told(server.port).contains(": the store answers"));
    server.kill();
    assert!(told(server.port).contains("from here, the store does not answer"));
}

#[tokio::test]
async fn a_cluster_is_a_journal() {
    let server = Server::start(&["cluster-enabled yes"]);
    assert!(server.cli(&["cluster", "addslotsrange", "0", "16383"]).contains("OK"));
    server.until(&["cluster", "info"], |info| info.contains("cluster_state:ok"));
    let settings = settings(Mode::Cluster, format!("redis://127.0.0.1:{}", server.port));
    holds(&journal(&settings), &journal(&settings)).await;
}

#[tokio::test]
async fn a_sentinel_tells_who_leads_before_and_after_a_failover() {
    let mut master = Server::start(&[]);
    let replica = Server::start(&[&format!("replicaof 127.0.0.1 {}", master.port)]);
    replica.until(&["info", "replication"], |info| info.contains("master_link_status:up"));
    let sentinel = Server::sentinel(master.port);
    sentinel.until(&["sentinel", "replicas", "portillon"], |replicas| replicas.contains(&replica.port.to_string()));
    let settings = settings(Mode::Sentinel("portillon".to_owned()), format!("redis://127.0.0.1:{}", sentinel.port));
    let one = journal(&settings);
    one.append(&[entry(1)]).await.unwrap();
    replica.until(&["xlen", "portillon:ended-sessions"], |length| length.trim() == "1");

    master.kill();
    sentinel.until(&["sentinel", "get-master-addr-by-name", "portillon"], |address| {
        address.contains(&replica.port.to_string())
    });
    replica.until(&["info", "replication"], |info| info.contains("role:master"));
    // The connection to the old master is of no use any more; the next one finds the new master.
    while one.append(&[entry(2)]).await.is_err() {}
    let found = rest(&journal(&settings), &Cursor::default()).await.entries;
    assert!(found.contains(&entry(1)) && found.contains(&entry(2)), "{found:?}");
}
