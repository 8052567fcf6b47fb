//! Following the source of rules that the settings name, and publishing every load.

use std::sync::Arc;

use super::{
    live::Live,
    runtime,
    settings::{Settings, Source},
    xds,
};

/// What follows a source; it ends when this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Following {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why a source cannot be followed at all.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {what}")]
pub struct CannotFollow {
    /// The variable that is to blame.
    pub variable: &'static str,
    /// What is wrong.
    pub what: String,
}

/// Begins to follow; within a runtime of tokio. Whoever must not serve before the first load came to its end awaits [`Live::first`] then
/// (all but FORCE_START_WITHOUT_INITIAL_CONFIG).
///
/// # Errors
/// A management server's address that is none, or TLS files that cannot be used. What may yet become good is no error: a folder that is
/// not there, a server that is away.
pub fn follow(settings: &Settings, live: &Arc<Live>) -> Result<Following, CannotFollow> {
    let live = Arc::clone(live);
    let merge = settings.merge_domains;
    let task = match &settings.source {
        Source::Files(runtime) => tokio::spawn(runtime::follow(runtime.clone(), merge, live)),
        Source::Xds(xds) => tokio::spawn(xds::Client::new((**xds).clone(), merge)?.follow(live)),
    };
    Ok(Following { task })
}
