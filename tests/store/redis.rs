//! Redis: alone, with a password, over TLS, behind a sentinel, in a cluster.

use std::cell::Cell;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portillon::clock::Clock;
use portillon::store::records::{Backend as _, Table};
use portillon::store::redis::{Mode, Redis, Settings};
use portillon::store::{Cursor, Journal as _, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::conformance::{conforms, entry, rest};
use crate::records::reveals_nothing;
use crate::server::{PATIENCE, Sentinels, Server, free_port, journal, secret, settings};

#[tokio::test(flavor = "multi_thread")]
async fn a_single_server_conforms() {
    let server = Server::start(&[]);
    conforms(|| journal(&server.settings()), None).await;
    assert!(server.cli(&["keys", "*"]).lines().all(|key| key.starts_with("portillon:")), "every key has the prefix");
    let shift = Settings { keep: Duration::from_secs(12 * 3600), ..server.settings() };
    journal(&shift).append(&[entry(1)]).await.unwrap();
    let ttl: u64 = server.cli(&["ttl", "portillon:ended-sessions"]).trim().parse().unwrap();
    assert!((12 * 3600..=14 * 3600).contains(&ttl), "what nobody needs any more goes away by itself: {ttl}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_groups_on_one_server_do_not_see_each_other() {
    let server = Server::start(&[]);
    let (one, expires) = (journal(&server.settings()), entry(0).expires);
    one.append(&[entry(200)]).await.unwrap();
    one.put(Table::LiveSession, &[200; 32], b"one's own", expires).await.unwrap();
    let theirs = Settings { prefix: "another group:".to_owned(), ..server.settings() };
    conforms(|| journal(&theirs), None).await;
    assert_eq!(rest(&one, &Cursor::default()).await.entries, [entry(200)]);
    let found = one.scan(Table::LiveSession, None, 1000).await.unwrap().records;
    assert_eq!(found.iter().map(|record| record.value.as_slice()).collect::<Vec<_>>(), [b"one's own"]);
}

#[tokio::test]
async fn no_line_is_of_use_for_longer_than_a_session() {
    let server = Server::start(&[]);
    let shift = journal(&Settings { keep: Duration::from_secs(12 * 3600), ..server.settings() });
    let line = ["name", "0123456789abcdef", "expires", "18446744073709551615"];
    assert!(server.cli(&[&["xadd", "portillon:ended-sessions", "*"], &line[..]].concat()).contains('-'));
    let [found] = &rest(&shift, &Cursor::default()).await.entries[..] else { panic!("one line") };
    assert!(found.expires.since(Clock::system().now()) < Duration::from_secs(14 * 3600));
}

#[tokio::test]
async fn what_the_server_writes_to_its_disk_reveals_nothing() {
    let server = Server::start(&["rdbcompression no"]);
    reveals_nothing(Arc::new(journal(&server.settings())), || server.dump()).await;
}

/// The rights that docs/sessions.md asks for, and no other.
const USER: &str = "user portillon on >s3same ~portillon:* +xadd +xread +xrange +expire +set +get +getdel +del +zadd +zrem \
                    +zscan +zremrangebyscore +hello +client +ping +cluster +role";

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_sentinel_the_user_has_the_rights_needed_and_the_database_is_the_one_asked_for() {
    let server = Server::start(&[USER]);
    let sentinel = Server::sentinel(server.port);
    let mut settings =
        settings(Mode::Sentinel("portillon".to_owned()), format!("redis://127.0.0.1:{}/3", sentinel.port));
    (settings.user, settings.password) = (Some("portillon".to_owned()), secret("s3same"));
    let without = journal(&settings).append(&[entry(1)]).await.unwrap_err().to_string();
    assert!(without.contains("select"), "another database needs one more right: {without}");
    assert!(server.cli(&["acl", "setuser", "portillon", "+select"]).contains("OK"));
    journal(&settings).append(&[entry(1)]).await.unwrap();
    assert_eq!(server.cli(&["-n", "3", "dbsize"]).trim(), "1");
    settings.urls = vec![format!("redis://127.0.0.1:{}", sentinel.port)];
    server.cli(&["acl", "setuser", "portillon", "-select"]);
    conforms(|| journal(&settings), None).await;
}

#[tokio::test]
async fn a_record_is_kept_or_not_and_nothing_in_between() {
    let server = Server::start(&[]);
    let (store, expires) = (journal(&server.settings()), entry(0).expires);
    // As a server that stops half-way.
    server.cli(&["acl", "setuser", "default", "-zadd"]);
    assert!(store.put_new(Table::Identity, &[1; 32], b"a lock", expires).await.unwrap(), "it is in no list");
    let refused = |error: StoreError| assert!(error.to_string().contains("NOPERM"), "{error}");
    refused(store.put(Table::LiveSession, &[2; 32], b"listed", expires).await.unwrap_err());
    assert_eq!(server.cli(&["dbsize"]).trim(), "1", "what could not be listed is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_needs_their_password() {
    let server = Server::start(&["user default off", USER]);
    let right = |password| {
        let mut settings = server.settings();
        (settings.user, settings.password) = (Some("portillon".to_owned()), secret(password));
        journal(&settings)
    };
    conforms(|| right("s3same"), None).await;
    for refused in [right("sesame"), journal(&server.settings())] {
        let error = refused.append(&[entry(2)]).await.unwrap_err().to_string();
        assert!(!error.contains("sesame") && !error.contains("s3same"), "{error}");
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a server of `localhost` needs to speak TLS, for which an authority vouches.
struct Tls {
    authority: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Tls {
    fn new() -> Self {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let (authority, folder, key) = (authority(), tempfile::tempdir().unwrap(), KeyPair::generate().unwrap());
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        // Named as its issuer is, it would sign itself, as OpenSSL sees it.
        params.distinguished_name.push(DnType::CommonName, "a server of a test");
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        Self { authority, folder }
    }

    /// Has a server speak TLS at `port`.
    fn lines(&self, port: u16) -> [String; 5] {
        let path = |name: &str| self.folder.path().join(name);
        [
            format!("tls-port {port}"),
            format!("tls-cert-file {:?}", path("cert.pem")),
            format!("tls-key-file {:?}", path("key.pem")),
            format!("tls-ca-cert-file {:?}", path("ca.pem")),
            "tls-auth-clients no".to_owned(),
        ]
    }
}

fn trusting(authority: &CertifiedIssuer<'static, KeyPair>, mode: Mode, url: String) -> Redis {
    journal(&Settings { ca: vec![authority.der().clone()], ..settings(mode, url) })
}

#[tokio::test]
async fn a_server_over_tls_is_the_one_that_its_authority_vouches_for() {
    let (tls, port) = (Tls::new(), free_port());
    let _server = Server::start(&tls.lines(port).each_ref().map(String::as_str));
    let store = |authority| trusting(authority, Mode::Single, format!("rediss://localhost:{port}"));
    store(&tls.authority).append(&[entry(1)]).await.unwrap();
    assert_eq!(rest(&store(&tls.authority), &Cursor::default()).await.entries, [entry(1)]);
    store(&authority()).append(&[entry(2)]).await.unwrap_err();
}

#[tokio::test]
async fn sentinels_and_their_servers_speak_tls() {
    let (tls, ports) = (Tls::new(), [free_port(), free_port()]);
    let _server = Server::start(&tls.lines(ports[0]).each_ref().map(String::as_str));
    let lines = tls.lines(ports[1]);
    let lines = [&lines.each_ref().map(String::as_str)[..], &["tls-replication yes"]].concat();
    let _sentinel = Server::sentinel_with(ports[0], &lines);
    let mode = || Mode::Sentinel("portillon".to_owned());
    let store = |authority| trusting(authority, mode(), format!("rediss://localhost:{}", ports[1]));
    store(&tls.authority).append(&[entry(1)]).await.unwrap();
    assert_eq!(rest(&store(&tls.authority), &Cursor::default()).await.entries, [entry(1)]);
    store(&authority()).append(&[entry(2)]).await.unwrap_err();
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

/// A cluster of three servers that share the slots. Each has these further lines.
fn cluster(more: impl Fn() -> Vec<String>) -> [Server; 3] {
    let slots = [["1", "0", "5460"], ["2", "5461", "10922"], ["3", "10923", "16383"]];
    let nodes = slots.map(|[epoch, first, last]| {
        // The usual port of the bus, 10000 above, may be none.
        let bus = free_port().to_string();
        let lines = ["cluster-enabled yes", &format!("cluster-port {bus}"), "cluster-node-timeout 1000"];
        let (more, full) = (more(), "cluster-require-full-coverage no");
        let more = more.iter().map(String::as_str).chain([full, USER]);
        let server = Server::start(&lines.into_iter().chain(more).collect::<Vec<_>>());
        assert!(server.cli(&["cluster", "addslotsrange", first, last]).contains("OK"));
        assert!(server.cli(&["cluster", "set-config-epoch", epoch]).contains("OK"));
        (server, bus)
    });
    for (node, bus) in &nodes[1..] {
        let meet = ["cluster", "meet", "127.0.0.1", &node.port.to_string(), bus];
        assert!(nodes[0].0.cli(&meet).contains("OK"));
    }
    for (node, _) in &nodes {
        node.until(&["cluster", "info"], |info| {
            info.contains("cluster_state:ok")
                && info.contains("cluster_known_nodes:3")
                && info.contains("cluster_slots_ok:16384")
        });
    }
    nodes.map(|(server, _)| server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_conforms_and_goes_on_without_one_of_its_servers() {
    let mut servers = cluster(Vec::new);
    // The others are learnt from the first.
    let mut settings = settings(Mode::Cluster, format!("redis://127.0.0.1:{}", servers[0].port));
    (settings.user, settings.password) = (Some("portillon".to_owned()), secret("s3same"));
    conforms(|| journal(&settings), None).await;
    for server in &servers {
        assert_ne!(server.cli(&["dbsize"]).trim(), "0", "the records are on all of them");
    }

    // One that is away takes its own records with it, and no others; all that are back are found.
    let (store, expires) = (journal(&settings), entry(0).expires);
    let kept = async || {
        let mut kept = 0;
        for number in 0..30 {
            kept += u32::from(store.put(Table::OneTimeUse, &[number; 32], b"kept", expires).await.is_ok());
        }
        kept
    };
    let until = async |enough: fn(u32) -> bool| {
        let begun = Instant::now();
        while !enough(kept().await) {
            assert!(begun.elapsed() < PATIENCE, "{}", kept().await);
        }
    };
    servers[2].kill();
    until(|kept| (5..30).contains(&kept)).await;
    servers[2].start_again();
    until(|kept| kept == 30).await;
    servers.iter_mut().for_each(Server::kill);
    until(|kept| kept == 0).await;
    servers.iter_mut().for_each(Server::start_again);
    until(|kept| kept == 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_speaks_tls() {
    let (tls, port) = (Tls::new(), Cell::new(0));
    let servers = cluster(|| {
        port.set(free_port());
        [&tls.lines(port.get())[..], &["tls-cluster yes".to_owned()]].concat()
    });
    let url = format!("rediss://127.0.0.1:{}", port.get());
    let (store, expires) = (trusting(&tls.authority, Mode::Cluster, url.clone()), entry(0).expires);
    for number in 0..30 {
        store.put(Table::OneTimeUse, &[number; 32], b"kept", expires).await.unwrap();
    }
    for server in &servers {
        assert_ne!(server.cli(&["dbsize"]).trim(), "0", "the records are on all of them");
    }
    trusting(&authority(), Mode::Cluster, url).append(&[entry(1)]).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_tells_who_leads_before_and_after_a_failover() {
    let mut group = Sentinels::start();
    let mut settings = settings(Mode::Sentinel("portillon".to_owned()), String::new());
    settings.urls = group.urls();
    conforms(|| journal(&settings), None).await;
    let one = journal(&settings);
    let expires = entry(0).expires;
    one.append(&[entry(101)]).await.unwrap();
    assert!(one.put_new(Table::OneTimeUse, &[101; 32], b"used", expires).await.unwrap());
    let counted = group.master.cli(&["dbsize"]);
    group.replica.until(&["dbsize"], |found| found == counted);

    // With the server goes one of those that know it.
    group.fail_over();
    // The connection to the old master is of no use any more; the next one finds the new master.
    while one.append(&[entry(102)]).await.is_err() {}
    let found = rest(&journal(&settings), &Cursor::default()).await.entries;
    assert!(found.contains(&entry(101)) && found.contains(&entry(102)));
    let again = loop {
        if let Ok(first) = one.put_new(Table::OneTimeUse, &[101; 32], b"again", expires).await {
            break first;
        }
    };
    assert!(!again, "what was used before the failover is used after it");
}
