//! A gateway in a process of its own, which can be killed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::harness::client::Connection;
use crate::harness::site::Site;
use crate::harness::{Request, World};
use crate::redis::{PATIENCE, free_port};

/// Another gateway of a [`World`]. It ends with this.
pub struct Process {
    pub address: SocketAddr,
    admin: SocketAddr,
    file: PathBuf,
    child: Child,
    _folder: TempDir,
}

impl Process {
    /// Starts the binary with the keys of `world`, a state of its own, and what `change` changes; it is ready.
    pub async fn start(world: &World, change: impl FnOnce(&mut Site)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [address, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let mut site = world.site.clone();
        site.set("server", "keys_dir", &format!("{:?}", world.folder.path().join("keys")))
            .set("server", "listen", &format!("[\"{address}\"]"))
            .set("admin", "listen", &format!("[\"{admin}\"]"));
        change(&mut site);
        let file = folder.path().join("portillon.toml");
        std::fs::write(&file, site.to_toml(folder.path())).unwrap();
        let process = Self { address, admin, child: spawn(&file), file, _folder: folder };
        process.is_ready().await;
        process
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same files; it is ready.
    pub async fn start_again(&mut self) {
        self.child = spawn(&self.file);
        self.is_ready().await;
    }

    async fn is_ready(&self) {
        let ready = async {
            while self.readyz().await != Some(200) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ready).await.expect("the gateway gets ready");
    }

    async fn readyz(&self) -> Option<u16> {
        let mut connection = Connection::try_open(self.admin).await.ok()?;
        connection.send(Request::get("localhost", "/readyz").to_bytes()).await;
        Some(connection.try_response("GET").await?.status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(file: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_portillon"))
        .args(["run", "--config"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
