//! A fixed set of seeds: nothing is admitted beyond what the faults that happened allow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[test]
fn no_seed_admits_beyond_its_bound_nor_takes_a_guarantee_nor_loses_a_count() {
    let (mut leased, mut faults) = (0, 0);
    for seed in 0..60 {
        let report = bulkhead_simulation::simulate(seed, 4_000, false).unwrap_or_else(|wrong| {
            panic!("at {} us: {}; replay: cargo xtask simulate --seed {seed} --decisions 4000 --trace", wrong.at_us, wrong.what)
        });
        leased += report.leased;
        faults += report.faults.values().sum::<u64>();
    }
    assert!(leased > 10_000 && faults > 100, "{leased} decisions from leases, {faults} faults: nothing was tried");
}

/// What an operator changes and what callers do is tried at all: without these, nothing would be said of them.
#[test]
fn seeds_play_what_they_are_there_for() {
    let mut faults = std::collections::BTreeMap::new();
    for seed in [0, 2, 3, 5, 7, 13] {
        let report = bulkhead_simulation::simulate(seed, 20_000, false).unwrap();
        report.faults.iter().for_each(|(kind, count)| *faults.entry(*kind).or_insert(0) += count);
    }
    for kind in [
        "guarantees stated for another time",
        "global limits changed",
        "callers that stopped waiting",
        "refused by a full queue",
        "calls lost",
    ] {
        assert!(faults.get(kind).is_some_and(|count| *count > 0), "{kind}: {faults:?}");
    }
}

#[test]
fn a_seed_plays_the_same_history_each_time() {
    let run = || format!("{:?}", bulkhead_simulation::simulate(7, 5_000, false));
    assert_eq!(run(), run());
}
