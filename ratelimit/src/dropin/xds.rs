//! Rules from an xDS management server: state of the world, over one aggregated stream, as the original asks for them.
//!
//! Each response replaces everything: a resource that is not in it any more is gone. Good rules are acknowledged; bad ones are refused with
//! the reason, and those before them go on deciding. A stream that ends is opened again after a while that grows (never at once: the
//! original asks a server that answers with an error as fast as it can).

mod backoff;
mod channel;
mod resources;
mod stream;

use std::sync::Arc;

use self::backoff::Waits;
pub(super) use self::backoff::random;
pub use self::resources::drafts;
use super::{follow::CannotFollow, live::Live, settings::Xds};

/// A client of one management server.
#[derive(Debug)]
pub(super) struct Client {
    settings: Xds,
    merge: bool,
    /// The version that was accepted last: a new stream begins with it.
    accepted: String,
}

impl Client {
    /// Checks what can be checked before the server is there.
    pub(super) fn new(settings: Xds, merge: bool) -> Result<Self, CannotFollow> {
        channel::endpoint(&settings)?;
        stream::headers(&settings)?;
        Ok(Self { settings, merge, accepted: String::new() })
    }

    /// Follows the server for ever.
    pub(super) async fn follow(mut self, live: Arc<Live>) {
        let mut waits = Waits::new(&self.settings.backoff);
        loop {
            let before = std::time::Instant::now();
            let why = match stream::serve(&mut self, &live).await {
                Ok(()) => "the server ended the stream".to_owned(),
                Err(why) => why,
            };
            // A stream that lasted is no reason to wait longer than the first time.
            if before.elapsed() > self.settings.backoff.max {
                waits = Waits::new(&self.settings.backoff);
            }
            let wait = waits.next();
            tracing::warn!(server = %self.settings.server, error = %why, wait_ms = wait.as_millis(), "no stream of rate limit configurations");
            tokio::time::sleep(wait).await;
        }
    }
}
