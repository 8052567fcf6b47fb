//! A corpus made from a seed: documents that hold one thing each, in many surroundings and languages, and documents that hold what looks
//! like one. What the numbers are made by here is written apart from what finds them: a check digit is computed, not tested.

#![allow(dead_code, clippy::unwrap_used, reason = "the example and the test use different parts; a generator may stop at its own mistake")]

use std::collections::BTreeMap;

use bulkhead_content::{Budget, Detector, Filter, Media, Topics};

mod negatives;
mod positives;
mod surroundings;

pub(crate) use negatives::negative;
pub(crate) use positives::positive;

/// What a detector did with the corpus. Every document counts for every detector: a card must be none of the other things.
#[derive(Default)]
pub(crate) struct Score {
    /// Documents that hold it.
    pub(crate) with: usize,
    /// Documents that do not.
    pub(crate) without: usize,
    /// Of those that hold it, found.
    pub(crate) right: usize,
    /// Of those that do not, found all the same.
    pub(crate) false_alarms: usize,
    /// Some of what went wrong.
    pub(crate) wrong: Vec<String>,
}

impl Score {
    /// Of what was found, how much was there.
    pub(crate) fn precision(&self) -> f64 {
        self.right as f64 / (self.right + self.false_alarms).max(1) as f64
    }

    /// Of what was there, how much was found.
    pub(crate) fn recall(&self) -> f64 {
        self.right as f64 / self.with.max(1) as f64
    }
}

/// Runs all detectors over `documents` documents of each kind, and three times as many that hold nothing.
pub(crate) fn measure(documents: usize, seed: u64) -> BTreeMap<Detector, Score> {
    let filter = Filter::new(Detector::ALL.into(), Topics::default());
    let mut random = Random::new(seed);
    let mut table: BTreeMap<Detector, Score> = Detector::ALL.into_iter().map(|kind| (kind, Score::default())).collect();
    let kinds = Detector::ALL.into_iter().map(Some).chain([None; 3]);
    for kind in kinds {
        for _ in 0..documents {
            let text = match kind {
                Some(kind) => positive(kind, &mut random),
                None => negative(&mut random),
            };
            let (content_type, body) = surroundings::document(&text, &mut random);
            let media = Media::of([content_type.as_bytes()], None);
            let found = filter.scan(&media, body.as_bytes(), &Budget::default()).map(|found| found.pii).unwrap_or_default();
            for (one, score) in &mut table {
                let (is, seen) = (kind == Some(*one), found.contains(one));
                score.with += usize::from(is);
                score.without += usize::from(!is);
                score.right += usize::from(is && seen);
                score.false_alarms += usize::from(!is && seen);
                if is != seen && score.wrong.len() < 8 {
                    score.wrong.push(format!("{}: {body}", if is { "missed" } else { "false alarm" }));
                }
            }
        }
    }
    table
}

/// SplitMix64: the same numbers from the same seed, everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// A number of a range.
    pub(crate) fn of(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    pub(crate) fn one<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.of(0..list.len() as u64) as usize]
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + self.of(0..10) as u8)).collect()
    }

    pub(crate) fn text(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| alphabet[self.of(0..alphabet.len() as u64) as usize]).collect()
    }
}

pub(crate) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
pub(crate) const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
pub(crate) const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const HEX: &str = "0123456789abcdef";
