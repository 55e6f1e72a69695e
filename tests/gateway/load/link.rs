//! A link to a server that can be slow, broken, or dead without saying so.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

/// What is wrong with the link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Everything arrives so much later.
    Latency(Duration),
    /// Every connection is reset, new ones too.
    Reset,
    /// Connections open and stay open, and nothing arrives before the fault is over.
    HalfOpen,
}

/// A link to a server on loopback.
pub struct Link {
    pub address: SocketAddr,
    fault: watch::Sender<Fault>,
}

impl Link {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, faults) = watch::channel(Fault::None);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, port, faults.clone()));
            }
        });
        Self { address, fault }
    }

    pub fn suffers(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn carry(mut here: TcpStream, port: u16, mut faults: watch::Receiver<Fault>) {
    let Ok(mut there) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = (here.set_nodelay(true), there.set_nodelay(true));
    let (to, from) = (faults.clone(), faults.clone());
    {
        let ((read, write), (read_there, write_there)) = (here.split(), there.split());
        tokio::select! {
            () = pass(read, write_there, to) => return,
            () = pass(read_there, write, from) => return,
            _ = faults.wait_for(|fault| *fault == Fault::Reset) => {}
        }
    }
    // Closed so, a connection is reset.
    let _ = here.set_zero_linger();
}

async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut faults: watch::Receiver<Fault>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let fault = *faults.borrow();
        if let Fault::Latency(late) = fault {
            sleep(late).await;
        }
        if faults.wait_for(|fault| *fault != Fault::HalfOpen).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
