//! Whether the user wants the work to end: Ctrl-C, or SIGTERM.

use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How a process ends that was interrupted twice: what it has is partial.
const TWICE: i32 = 3;

/// Whether the user wants the work to end; installed once, for all that a command does.
#[derive(Clone, Debug)]
pub struct Interrupt {
    asked: watch::Receiver<bool>,
    /// Never sends where nothing is installed.
    _sender: Arc<watch::Sender<bool>>,
}

impl Interrupt {
    /// Takes over Ctrl-C and SIGTERM, from the moment it returns.
    ///
    /// The second of these signals ends the process at once, whatever it waits for.
    pub fn install() -> std::io::Result<Self> {
        let (sender, asked) = watch::channel(false);
        let sender = Arc::new(sender);
        let told = Arc::clone(&sender);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = {
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                for _ in 0..2 {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if told.send_replace(true) {
                        std::process::exit(TWICE);
                    }
                }
            });
        })?;
        Ok(Self { asked, _sender: sender })
    }

    /// One that is asked for by calling what comes with it.
    pub fn by_hand() -> (Self, impl Fn() + Send + Sync) {
        let (sender, asked) = watch::channel(false);
        let sender = Arc::new(sender);
        let told = Arc::clone(&sender);
        (Self { asked, _sender: sender }, move || {
            told.send_replace(true);
        })
    }

    /// One that nobody ever asks for: for tests.
    pub fn never() -> Self {
        let (sender, asked) = watch::channel(false);
        Self { asked, _sender: Arc::new(sender) }
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// Ends when it is asked for.
    pub async fn wait(&self) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
