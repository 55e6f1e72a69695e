//! A redis-server of a test's own.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use portillon::clock::Clock;
use portillon::secret::Secret;
use portillon::store::redis::{Mode, Redis, Settings};

/// How long anything may take: no test waits for it where all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server, or a sentinel, with its folder. It ends with this.
pub struct Server {
    pub port: u16,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    child: Child,
}

impl Server {
    /// A server that keeps nothing on disk, with these lines of configuration.
    pub fn start(lines: &[&str]) -> Self {
        Self::launch(free_port(), lines, &[])
    }

    /// One of three sentinels, two of which must agree.
    pub fn sentinel(master: u16) -> Self {
        Self::sentinel_with(master, &[])
    }

    /// The same with further lines of configuration.
    pub fn sentinel_with(master: u16, more: &[&str]) -> Self {
        let monitor = format!("sentinel monitor portillon 127.0.0.1 {master} 2");
        let lines = ["sentinel down-after-milliseconds portillon 500", "sentinel failover-timeout portillon 2000"];
        Self::launch(free_port(), &[more, &[&monitor[..], lines[0], lines[1]]].concat(), &["--sentinel"])
    }

    fn launch(port: u16, lines: &[&str], flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = format!("bind 127.0.0.1\nport {port}\ndir {:?}\n", folder.path());
        if flags.is_empty() {
            text.push_str("save \"\"\nappendonly no\n");
        }
        for line in lines {
            writeln!(text, "{line}").unwrap();
        }
        let file = folder.path().join("redis.conf");
        std::fs::write(&file, text).unwrap();
        let arguments: Vec<String> =
            std::iter::once(file.display().to_string()).chain(flags.iter().map(ToString::to_string)).collect();
        let child = spawn(&arguments);
        let server = Self { port, arguments, folder, child };
        server.listens();
        server
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, with nothing in it.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.arguments);
        self.listens();
    }

    /// What it writes to its disk.
    pub fn dump(&self) -> Vec<u8> {
        assert!(self.cli(&["save"]).contains("OK"));
        std::fs::read(self.folder.path().join("dump.rdb")).unwrap()
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until `redis-cli` prints what is looked for.
    pub fn until(&self, arguments: &[&str], found: impl Fn(&str) -> bool) {
        let started = Instant::now();
        loop {
            let printed = self.cli(arguments);
            if found(&printed) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{arguments:?} still prints {printed}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn settings(&self) -> Settings {
        settings(Mode::Single, format!("redis://127.0.0.1:{}", self.port))
    }

    fn listens(&self) {
        self.until(&["ping"], |answer| answer.contains("PONG") || answer.contains("NOAUTH"));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that leads, one that follows, and three sentinels who agree about it.
pub struct Sentinels {
    pub master: Server,
    pub replica: Server,
    pub sentinels: [Server; 3],
}

impl Sentinels {
    pub fn start() -> Self {
        let master = Server::start(&[]);
        let replica = Server::start(&[&format!("replicaof 127.0.0.1 {}", master.port)]);
        replica.until(&["info", "replication"], |info| info.contains("master_link_status:up"));
        let sentinels = [(); 3].map(|()| Server::sentinel(master.port));
        for sentinel in &sentinels {
            let port = replica.port.to_string();
            sentinel.until(&["sentinel", "replicas", "portillon"], |replicas| replicas.contains(&port));
            sentinel.until(&["sentinel", "sentinels", "portillon"], |others| others.matches("runid").count() == 2);
        }
        Self { master, replica, sentinels }
    }

    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(|sentinel| format!("redis://127.0.0.1:{}", sentinel.port)).collect()
    }

    /// Kills the server that leads, and a sentinel with it; the other one leads when this returns.
    pub fn fail_over(&mut self) {
        self.sentinels[0].kill();
        self.master.kill();
        let port = self.replica.port.to_string();
        let address = ["sentinel", "get-master-addr-by-name", "portillon"];
        self.sentinels[1].until(&address, |address| address.contains(&port));
        self.replica.until(&["info", "replication"], |info| info.contains("role:master"));
    }
}

pub fn settings(mode: Mode, url: String) -> Settings {
    Settings {
        mode,
        urls: vec![url],
        user: None,
        password: None,
        ca: Vec::new(),
        prefix: "portillon:".to_owned(),
        // Longer than any line of a test.
        keep: Duration::from_secs(4_000_000_000),
    }
}

pub fn journal(settings: &Settings) -> Redis {
    Redis::new(settings.clone(), Clock::system()).unwrap()
}

pub fn secret(text: &str) -> Option<Secret<String>> {
    Some(Secret::from(text))
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed: scripts/setup test")
}
