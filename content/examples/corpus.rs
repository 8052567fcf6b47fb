//! Measures the detectors: `cargo run -p bulkhead-content --example corpus [DOCUMENTS] [SEED]` makes a corpus, the same from the same seed,
//! and prints precision and recall of each detector as the table of `docs/content.md`, and what a KiB costs. With CORPUS_WRONG set it also
//! shows some of the documents that were taken wrongly.

#![expect(clippy::print_stdout, reason = "it prints a table")]

use std::time::Instant;

use bulkhead_content::{Budget, Detector, Filter, Media, TopicMatcher, Topics};

#[path = "../tests/corpus/mod.rs"]
mod corpus;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let documents = args.next().map_or(Ok(1000), |one| one.parse())?;
    let seed = args.next().map_or(Ok(1), |one| one.parse())?;
    println!("| detector | documents with it | without it | precision | recall |");
    println!("|---|---|---|---|---|");
    let table = corpus::measure(documents, seed);
    for (kind, score) in &table {
        println!("| {kind} | {} | {} | {:.3} | {:.3} |", score.with, score.without, score.precision(), score.recall());
    }
    if std::env::var_os("CORPUS_WRONG").is_some() {
        for (kind, wrong) in table.iter().flat_map(|(kind, score)| score.wrong.iter().map(move |wrong| (kind, wrong))) {
            println!("    {kind}: {wrong}");
        }
    }
    costs()
}

/// What a KiB of JSON costs, for topics, for personal data and for both.
fn costs() -> Result<(), Box<dyn std::error::Error>> {
    let phrases = (0..500).map(|at| format!("competitor number {at}")).collect();
    let topics = Topics::compile([("rivals".to_owned(), TopicMatcher { phrases, patterns: vec![r"\bmargin\s+\d+%".to_owned()] })].into())?;
    let mut random = corpus::Random::new(7);
    let list: Vec<String> = (0..400).map(|_| corpus::negative(&mut random)).collect();
    let body = format!("{{\"items\":[{}]}}", list.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(","));
    let media = Media::of([b"application/json".as_slice()], None);
    println!("\n| what is looked for | µs a KiB |\n|---|---|");
    for (name, filter) in [
        ("500 phrases and a pattern", Filter::new([].into(), topics.clone())),
        ("all detectors", Filter::new(Detector::ALL.into(), Topics::default())),
        ("both", Filter::new(Detector::ALL.into(), topics)),
    ] {
        let began = Instant::now();
        let mut rounds = 0_u32;
        while began.elapsed().as_millis() < 500 {
            let _ = filter.scan(&media, body.as_bytes(), &Budget::default())?;
            rounds += 1;
        }
        println!("| {name} | {:.1} |", began.elapsed().as_secs_f64() * 1e6 / f64::from(rounds) / (body.len() as f64 / 1024.0));
    }
    Ok(())
}
