//! Waiting for a condition: polled until it holds, or until a deadline that fails the test with what was waited for.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// Long enough for anything on a busy machine; reached only by what never happens.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Polls until the probe gives a value.
///
/// # Panics
/// At the deadline, naming what was waited for.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, within: Duration, mut probe: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(start.elapsed() < within, "waited {within:?} for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
