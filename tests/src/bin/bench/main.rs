//! `cargo xtask bench`: how long configuration takes to load and to change, and what a decision costs over a gRPC server that decides
//! nothing. Every speed is a ratio to that floor, measured in the same run and in turn with it: machines are noisy.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a bench prints its figures, and its progress beside them")]

mod calls;
mod floor;
mod load;
mod loading;
mod report;

use bulkhead_tests::{
    issuer::key::Key,
    scale::{Limits, Scale},
    service::Service,
    valkey::Valkey,
};
use clap::Parser;
use tempfile::TempDir;

use self::{
    calls::{Calls, Checks, Limitations},
    floor::Floor,
    load::{Plan, compare},
    report::{Report, Row},
};

/// What to measure.
#[derive(Parser)]
struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Seconds that each side of a comparison is measured for, in each of three rounds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Serve the floor on a free port, and print which: a process of the bench's own
    #[arg(long, hide = true)]
    floor: bool,
}

/// How many requests are in flight.
const STREAMS: [usize; 2] = [1, 200];

#[tokio::main]
async fn main() {
    let options = Options::parse();
    if options.floor {
        return floor::serve().await;
    }
    let floor = Floor::start().await;
    let mut report = Report::default();

    eprintln!("loading 10,000 tenants ...");
    report.loading = Some(loading::measure(&Scale::TEN_THOUSAND).await);

    for tenants in [1, 10_000] {
        let key = Key::es256("bench");
        let scale = Scale { tenants, limits: Limits::Unreached, key: Some(key.jwk().to_string()), ..Scale::TEN_THOUSAND };
        let config = TempDir::new().expect("a temporary directory");
        scale.write(config.path()).expect("a writable directory");
        let plan = |streams| Plan { streams, seconds: options.seconds };

        eprintln!("ext-authz, {tenants} tenants ...");
        let service = Service::ext_authz(config.path(), &[]).await;
        let checks = Calls::Check(Checks::new(&scale, &key));
        for streams in STREAMS {
            let measured = compare(floor.address(), service.grpc(), &checks, plan(streams)).await;
            report.rows.push(Row { service: "ext-authz", store: "-", tenants, streams, measured });
        }
        drop(service);

        let valkey = Valkey::start().await;
        for (store, url) in [("Valkey", valkey.url()), ("memory", "memory".to_owned())] {
            eprintln!("ratelimit, {store}, {tenants} tenants ...");
            // The store shares the two cores with everything else: a deadline that is never the subject here.
            let service = Service::ratelimit(config.path(), &url, &["--store-deadline", "1s"]).await;
            let limits = Calls::RateLimit(Limitations::new(&scale));
            for streams in STREAMS {
                let measured = compare(floor.address(), service.grpc(), &limits, plan(streams)).await;
                report.rows.push(Row { service: "ratelimit", store, tenants, streams, measured });
            }
        }
    }
    println!("{}", if options.json { report.json() } else { report.text() });
}
