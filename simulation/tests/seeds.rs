//! A fixed set of seeds: nothing is admitted beyond what the faults that happened allow.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[test]
fn no_seed_admits_beyond_its_bound_nor_takes_a_guarantee_nor_loses_a_count() {
    let (mut leased, mut faults) = (0, 0);
    for seed in 0..60 {
        let report = bulkhead_simulation::simulate(seed, 4_000, false)
            .unwrap_or_else(|wrong| panic!("at {} us: {}; replay: cargo xtask simulate --seed {seed} --trace", wrong.at_us, wrong.what));
        leased += report.leased;
        faults += report.faults.values().sum::<u64>();
    }
    assert!(leased > 10_000 && faults > 100, "{leased} decisions from leases, {faults} faults: nothing was tried");
}

#[test]
fn a_seed_plays_the_same_history_each_time() {
    let run = || format!("{:?}", bulkhead_simulation::simulate(7, 5_000, false));
    assert_eq!(run(), run());
}
