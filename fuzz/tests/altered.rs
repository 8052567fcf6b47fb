//! Every target over its seed corpus and alterations of it, for a moment each (`BULKHEAD_FUZZ_MS`, default 1,500): the instrumented build that libFuzzer needs
//! takes minutes, this none. A failure tells the input, which belongs into the corpus.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::{
    panic,
    path::PathBuf,
    time::{Duration, Instant},
};

use bulkhead_fuzz::{TARGETS, Target, alter::altered};

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// What a target fell for, if it did.
fn run(target: &Target, input: &[u8], seed: Option<u64>) -> Option<String> {
    let (run, owned) = (target.run, input.to_vec());
    let fell = panic::catch_unwind(move || run(&owned)).is_err();
    fell.then(|| format!("target {}, seed {seed:?}: {:?}", target.name, String::from_utf8_lossy(input)))
}

#[test]
fn no_target_falls_for_its_corpus_or_what_becomes_of_it() {
    let given = std::env::var("BULKHEAD_FUZZ_MS").ok().and_then(|text| text.parse().ok());
    let moment = Duration::from_millis(given.unwrap_or(1_500));
    let mut fell = Vec::new();
    for target in TARGETS {
        let corpus = corpus(target);
        let mut found = corpus.iter().find_map(|input| run(target, input, None));
        let start = Instant::now();
        let mut seed = 0;
        while found.is_none() && (start.elapsed() < moment || seed < 200) {
            found = run(target, &altered(&corpus, seed), Some(seed));
            seed += 1;
        }
        println!("{:>10} {seed} alterations of {} inputs", target.name, corpus.len());
        fell.extend(found);
    }
    assert!(fell.is_empty(), "{}", fell.join("\n"));
}
