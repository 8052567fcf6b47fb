//! `bulkhead-simulate`: seeds, one after the other on every processor; what was decided, what failed, and the worst that was seen.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

use std::{
    panic,
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use bulkhead_simulation::{Report, Violation, simulate};
use clap::Parser;

/// Plays the limiter's protocol with faults
#[derive(Parser)]
struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// One seed alone
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Decisions of each seed
    #[arg(long, default_value_t = 100_000)]
    decisions: u64,
    /// Tell what happens
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let (first, end) = options.seed.map_or((0, options.seeds), |seed| (seed, seed + 1));
    let next = AtomicU64::new(first);
    let work = || {
        let mut done: Vec<(u64, Result<Report, Violation>)> = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return done;
            }
            let played = panic::catch_unwind(|| simulate(seed, options.decisions, options.trace));
            done.push((seed, played.unwrap_or_else(|_| Err(Violation { at_us: 0, what: "it panicked".to_owned() }))));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut all: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    all.sort_by_key(|(seed, _)| *seed);
    print(&all, options.decisions)
}

fn print(all: &[(u64, Result<Report, Violation>)], decisions: u64) -> ExitCode {
    let mut sum = Report::default();
    let mut failed = false;
    for (seed, result) in all {
        match result {
            Ok(report) => {
                sum.decisions += report.decisions;
                sum.leased += report.leased;
                sum.renewed += report.renewed;
                sum.alone += report.alone;
                sum.pairs += report.pairs;
                sum.unmetered += report.unmetered;
                sum.in_hand = sum.in_hand.max(report.in_hand);
                sum.short = sum.short.max(report.short);
                sum.worst = sum.worst.max(report.worst);
                sum.worst_unallowed = sum.worst_unallowed.max(report.worst_unallowed);
                report.faults.iter().for_each(|(kind, count)| *sum.faults.entry(kind).or_default() += count);
            }
            Err(wrong) => {
                failed = true;
                eprintln!("seed {seed}, {} us: {}", wrong.at_us, wrong.what);
                eprintln!("    replay: cargo xtask simulate --seed {seed} --decisions {decisions} --trace");
            }
        }
    }
    println!(
        "seeds {}, decisions {}: from leases {} (and {} leases renewed between requests), of two descriptors {}, alone {}",
        all.len(),
        sum.decisions,
        sum.leased,
        sum.renewed,
        sum.pairs,
        sum.alone
    );
    sum.faults.iter().for_each(|(kind, count)| println!("    {count:>8} {kind}"));
    println!("worst over-admission: {} requests, where faults allowed {}", sum.worst.0, sum.worst.1);
    println!("    where no fault allowed any: {}", sum.worst_unallowed);
    println!("answered and on no bill: {} requests", sum.unmetered);
    println!("most copies in hand of one replica (leases may admit so many less): {}", sum.in_hand);
    println!("most that a tenant's bucket held in truth when it was denied for it: {} requests", sum.short);
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
