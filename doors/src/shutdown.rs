//! How a service is asked to end: once to drain, twice to end at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::fatal::Fatal;

/// A request to end, shared by all that must hear of it. Clones are the same request.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    at_once: CancellationToken,
}

impl Shutdown {
    /// One that follows SIGTERM and SIGINT: the first drains, the second ends at once.
    ///
    /// # Errors
    /// The signals cannot be listened to.
    pub fn on_signals() -> Result<Self, Fatal> {
        let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        let shutdown = Self::default();
        let told = shutdown.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                told.signalled();
            }
        });
        Ok(shutdown)
    }

    /// Takes SIGHUP as one of them, which would else end the process at once.
    ///
    /// # Errors
    /// The signal cannot be listened to.
    pub fn on_hangup(&self) -> Result<(), Fatal> {
        let mut hangup = listen(SignalKind::hangup())?;
        let told = self.clone();
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                told.signalled();
            }
        });
        Ok(())
    }

    fn signalled(&self) {
        if self.is_draining() {
            tracing::warn!("a second signal: ending at once");
            self.end_at_once();
        } else {
            self.drain();
        }
    }

    /// Asks for an orderly end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Asks to end without waiting for anybody.
    pub fn end_at_once(&self) {
        self.drain.cancel();
        self.at_once.cancel();
    }

    /// Whether an end was asked for.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Waits until an end is asked for.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Waits until an end without waiting is asked for.
    pub async fn at_once(&self) {
        self.at_once.cancelled().await;
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Fatal> {
    signal(kind).map_err(|why| Fatal::failed(format!("cannot listen to signals: {why}")))
}
