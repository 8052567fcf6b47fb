//! The rules that decide now, and what became of each load.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::rules::Configuration;

/// What one load came to. The original counts them as `config_load_success` and `config_load_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// The new rules decide from here on.
    Success,
    /// The rules before it go on deciding; the text is the original's (`FILE: invalid rate limit unit 'foo'`).
    Error(String),
}

/// The rules that decide. Empty until the first load succeeded: then every call fails with [`NOTHING_LOADED`].
pub struct Live {
    rules: ArcSwapOption<Configuration>,
    on_load: Box<dyn Fn(&Load) + Send + Sync>,
    /// Whether any load came to its end.
    ended: watch::Sender<bool>,
}

/// What the original answers while nothing was ever loaded.
pub const NOTHING_LOADED: &str = "no rate limit configuration loaded";

impl Live {
    /// Nothing loaded yet. `on_load` is called after each load, in order: what it reads in [`Self::load`] is that load's outcome.
    #[must_use]
    pub fn new(on_load: impl Fn(&Load) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { rules: ArcSwapOption::empty(), on_load: Box::new(on_load), ended: watch::Sender::new(false) })
    }

    /// The rules that decide now: take them once a call.
    #[must_use]
    pub fn load(&self) -> Option<Arc<Configuration>> {
        self.rules.load_full()
    }

    /// A load came to its end: good rules replace the old ones whole, bad ones change nothing.
    pub fn publish(&self, loaded: Result<Configuration, String>) {
        let load = match loaded {
            Ok(rules) => {
                self.rules.store(Some(Arc::new(rules)));
                Load::Success
            }
            Err(why) => {
                tracing::error!(error = %why, "the new rate limit configuration is refused; the one before it goes on deciding");
                Load::Error(why)
            }
        };
        (self.on_load)(&load);
        self.ended.send_replace(true);
    }

    /// Waits until the first load came to its end, good or bad.
    pub async fn first(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("loaded", &self.load().is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_bad_load_keeps_what_was_there() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let live = Live::new({
            let seen = Arc::clone(&seen);
            move |load| seen.lock().unwrap().push(load.clone())
        });
        assert!(live.load().is_none());
        live.publish(Err("a".to_owned()));
        assert!(live.load().is_none());
        live.publish(Ok(Configuration::default()));
        let good = live.load().unwrap();
        live.publish(Err("b".to_owned()));
        assert!(Arc::ptr_eq(&good, &live.load().unwrap()));
        assert_eq!(*seen.lock().unwrap(), [Load::Error("a".to_owned()), Load::Success, Load::Error("b".to_owned())]);
    }
}
