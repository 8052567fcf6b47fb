//! How long calls took: a histogram for Prometheus, and some of the single times for statsd.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

/// The upper bounds of the histogram, in seconds: those that Prometheus libraries use where nothing else is said, as the original does.
pub(super) const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How many single times statsd is told in one flush; more are counted by a sample rate.
const SAMPLES: usize = 1_000;

/// A timer.
#[derive(Debug)]
pub struct Timer {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
    samples: Box<[AtomicU64]>,
    sampled: AtomicUsize,
}

impl Default for Timer {
    fn default() -> Self {
        Self {
            buckets: Default::default(),
            count: AtomicU64::default(),
            sum_us: AtomicU64::default(),
            samples: (0..SAMPLES).map(|_| AtomicU64::default()).collect(),
            sampled: AtomicUsize::default(),
        }
    }
}

impl Timer {
    /// Counts one call.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(place) = BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound)
            && let Some(bucket) = self.buckets.get(place)
        {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
        if let Some(sample) = self.samples.get(self.sampled.fetch_add(1, Ordering::Relaxed)) {
            sample.store(us, Ordering::Relaxed);
        }
    }

    /// Calls within each bound of [`BOUNDS`] (those below it included), calls in all, and their seconds.
    pub(super) fn histogram(&self) -> ([u64; BOUNDS.len()], u64, f64) {
        let mut below = 0;
        let within = self.buckets.each_ref().map(|bucket| {
            below += bucket.load(Ordering::Relaxed);
            below
        });
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a process's life are far below 2^53")]
        let seconds = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        (within, self.count.load(Ordering::Relaxed), seconds)
    }

    /// Times since the last time this was asked, in microseconds, and how many there were in all. For one flusher.
    pub(super) fn latch(&self) -> (Vec<u64>, usize) {
        let all = self.sampled.swap(0, Ordering::Relaxed);
        (self.samples.iter().take(all).map(|sample| sample.load(Ordering::Relaxed)).collect(), all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stands_in_its_bucket_and_in_all_above() {
        let timer = Timer::default();
        timer.record(Duration::from_millis(7));
        timer.record(Duration::from_secs(60));
        let (within, count, seconds) = timer.histogram();
        assert_eq!((within[0], within[1], within[10], count), (0, 1, 1, 2));
        assert!((seconds - 60.007).abs() < 1e-6);
    }

    #[test]
    fn more_times_than_are_told_are_counted() {
        let timer = Timer::default();
        for _ in 0..SAMPLES + 5 {
            timer.record(Duration::from_micros(3));
        }
        let (told, all) = timer.latch();
        assert_eq!((told.len(), all, told[0]), (SAMPLES, SAMPLES + 5, 3));
        assert_eq!(timer.latch().1, 0);
    }
}
