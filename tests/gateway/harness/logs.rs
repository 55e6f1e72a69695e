//! What the gateway logs, at the most talkative level, while a test looks.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

use tracing::Level;

static WATCHERS: AtomicUsize = AtomicUsize::new(0);
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Keeps every line logged in this process, by this test or another, while it lives.
pub struct Watch(usize);

impl Watch {
    /// Watches from now on.
    pub fn start() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            // Without the bridge to `log`: pingora's own lines hold whole request heads below `warn`, and the product
            // never lets them pass.
            let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false);
            let _ = tracing::subscriber::set_global_default(subscriber.with_writer(|| Sink).finish());
        });
        WATCHERS.fetch_add(1, Ordering::SeqCst);
        Self(LINES.lock().expect("no test panics while it writes a line").len())
    }

    /// What was logged since.
    pub fn text(&self) -> String {
        let lines = LINES.lock().expect("no test panics while it writes a line");
        String::from_utf8_lossy(&lines[self.0..]).into_owned()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHERS.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Sink;

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if WATCHERS.load(Ordering::SeqCst) > 0 {
            LINES.lock().expect("no test panics while it writes a line").extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
