//! `cargo xtask bench`: how long configuration takes to load and to change, and what a decision costs over a gRPC server that decides
//! nothing. Every speed is a ratio to that floor, measured in the same run and in turn with it: machines are noisy.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a bench prints its figures, and its progress beside them")]

mod bodies;
mod calls;
mod client;
mod codec;
mod cpu;
mod first_sight;
mod floods;
mod floor;
mod gateway;
mod household;
mod http1;
mod load;
mod loading;
mod matrix;
mod median;
mod report;
mod subject;
mod table;
mod target;

use std::{path::PathBuf, time::Duration};

use bulkhead_tests::scale::Scale;
use clap::Parser;

use self::{
    floor::Floor,
    load::compare,
    matrix::{Case, What},
    report::{Report, Row},
    subject::{Configs, Running},
};

/// What to measure.
#[derive(Parser)]
struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Seconds that each side of a comparison is measured for, in each of five rounds
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// Every combination instead of a selection
    #[arg(long)]
    full: bool,
    /// Only the rows with all of these words: "exact 10000-tenants 200-streams metering-on tcp"; or one of `loading`, `bodies`, `gateway`, `floods`
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Serve the floor on a free port and a socket in this folder, and print which port: a process of the bench's own
    #[arg(long, hide = true)]
    floor: Option<PathBuf>,
}

fn main() {
    let options = Options::parse();
    if let Some(directory) = options.floor {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(floor::serve(&directory));
    }
    // The client has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(measure(&options));
    println!("{}", if options.json { report.json() } else { report.text() });
}

async fn measure(options: &Options) -> Report {
    let wanted = |case: &Case| options.only.as_ref().is_none_or(|pattern| case.is_named_by(pattern));
    let all = if options.full { matrix::full() } else { matrix::selected() };
    let cases: Vec<Case> = all.into_iter().filter(wanted).collect();
    let floor = Floor::start().await;
    let mut report = Report::default();
    let time = Duration::from_secs_f64(options.seconds);
    if options.wants("loading") {
        eprintln!("loading 10,000 tenants ...");
        report.loading = Some(loading::measure(&Scale::TEN_THOUSAND).await);
    }
    let mut configs = Configs::new();
    for cases in cases.chunk_by(|one, next| one.setup == next.setup) {
        let Some(setup) = cases.first().map(|case| case.setup) else { continue };
        let calls = configs.calls(setup);
        let running = Running::start(setup, configs.folder(setup)).await;
        for &case in cases {
            let warm_up = if setup.what == What::Leased { load::WARM_UP_OF_LEASES } else { load::warm_up(time) };
            let mut measured = compare(&floor.subject(setup.sockets), &running.subject(), &calls, case.streams, time, warm_up).await;
            if setup.what == What::FirstSight {
                measured.alone_us = Some(first_sight::alone_us(configs.key()));
                measured.bytes_a_token = Some(first_sight::bytes_a_token(&running.subject(), &calls).await);
            }
            let row = Row { case, measured };
            eprintln!("{row}");
            report.rows.push(row);
        }
    }
    if options.wants("bodies") {
        report.bodies = bodies::measure(&floor, time, |row| eprintln!("{row}")).await;
    }
    if options.wants("gateway") {
        report.gateway = gateway::measure(&floor, time, |row| eprintln!("{row}")).await;
    }
    if options.wants("floods") {
        report.floods = floods::measure(time, |row| eprintln!("{row}")).await;
    }
    report
}

impl Options {
    /// Whether one of the parts that are no rows of the matrix is to be measured.
    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|pattern| pattern == part)
    }
}
