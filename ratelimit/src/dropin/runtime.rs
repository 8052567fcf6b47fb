//! The runtime folder of the original: which files it has, what they are called, and noticing when they change.
//!
//! Changes are found by looking, not by waiting for events: a look is one `stat` of each file behind its symbolic links, so a write, a
//! rename, a swapped link at the root, at `..data` or anywhere between is one and the same thing. (The original waits for events
//! of one folder and misses swaps elsewhere.)

mod look;
mod read;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::look::{Look, look};
use super::{file, live::Live, rules::Configuration, settings::Runtime};

/// Between two looks. A look at some files costs microseconds.
const PERIOD: Duration = Duration::from_millis(500);
/// Where a look costs more (a large folder, a slow file system), looking takes at most a twentieth of the time.
const REST: u32 = 20;
/// After a change, before it is believed: whoever writes several files, or one file in parts, is still at it.
const QUIET: Duration = Duration::from_millis(50);
/// So often a change that goes on is waited for; then what is there is read.
const PATIENCE: usize = 40;

/// Loads what is there, and again whenever it changes; never ends.
pub(super) async fn follow(runtime: Runtime, merge: bool, live: Arc<Live>) {
    let runtime = Arc::new(runtime);
    let mut last: Option<Look> = None;
    loop {
        let start = Instant::now();
        let now = looked(&runtime).await;
        let cost = start.elapsed();
        if last.as_ref() != Some(&now) {
            let settled = if last.is_none() { now } else { settled(&runtime, now).await };
            let (loaded, seen) = loaded(&runtime, merge, settled).await;
            last = Some(seen);
            live.publish(loaded);
        }
        tokio::time::sleep(PERIOD.max(cost * REST)).await;
    }
}

async fn looked(runtime: &Arc<Runtime>) -> Look {
    let runtime = Arc::clone(runtime);
    blocking(move || look(&runtime)).await
}

/// The look after which nothing changed for a while.
async fn settled(runtime: &Arc<Runtime>, mut now: Look) -> Look {
    for _ in 0..PATIENCE {
        tokio::time::sleep(QUIET).await;
        let then = looked(runtime).await;
        if then == now {
            break;
        }
        now = then;
    }
    now
}

/// Reads and judges. What was read across a change is of two versions: then once more.
async fn loaded(runtime: &Arc<Runtime>, merge: bool, mut before: Look) -> (Result<Configuration, String>, Look) {
    for _ in 0..PATIENCE {
        let read = Arc::clone(runtime);
        let (loaded, after, seen) = blocking(move || {
            let loaded = load(&before, merge);
            (loaded, look(&read), before)
        })
        .await;
        if after == seen {
            return (loaded, seen);
        }
        before = after;
    }
    (Err("the runtime folder is being changed all the time".to_owned()), before)
}

/// The rules of all files, or what is wrong with the first that is bad.
fn load(look: &Look, merge: bool) -> Result<Configuration, String> {
    let files = look.files.as_ref().map_err(Clone::clone)?;
    let mut drafts = Vec::with_capacity(files.len());
    for file in files {
        let text = read::text(file)?;
        let parsed = file::parse(&file.key, &text).map_err(|refused| refused.to_string())?;
        for warning in &parsed.warnings {
            tracing::warn!(file = %file.key, "{warning}");
        }
        drafts.push(parsed.draft);
    }
    Configuration::build(&drafts, merge).map_err(|refused| refused.to_string())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_was_read_across_a_change_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        fs::create_dir(&config).unwrap();
        fs::write(config.join("a.yaml"), "domain: old").unwrap();
        let runtime = Arc::new(Runtime {
            root: folder.path().into(),
            subdirectory: "".into(),
            app_directory: "config".into(),
            ignore_dot_files: false,
            watch_root: true,
        });
        let before = looked(&runtime).await;
        fs::write(config.join("a.yaml"), "domain: new").unwrap();
        fs::write(config.join("b.yaml"), "domain: more").unwrap();
        let (loaded, seen) = loaded(&runtime, false, before).await;
        assert_eq!(loaded.unwrap().domains().collect::<Vec<_>>(), ["more", "new"]);
        assert_eq!(seen, looked(&runtime).await);
    }
}
