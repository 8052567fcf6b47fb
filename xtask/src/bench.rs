//! `cargo xtask bench`: outside the tests, because figures are for reading. Builds as released, and hands over to `bulkhead-bench`.

use std::{os::unix::process::CommandExt as _, process::Command, thread};

use clap::Args;

use crate::{
    parts::Part,
    stage::Stages,
    workspace::{cargo, root, target},
};

/// What to measure, and how to print.
#[derive(Args)]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Seconds that each service and the floor are measured for, in each of five rounds
    #[arg(long, default_value_t = 0.6)]
    seconds: f64,
    /// Measure every combination instead of a selection
    #[arg(long)]
    full: bool,
    /// Measure only the rows with all of these words: "exact 10000-tenants 200-streams metering-on tcp", or one of `loading`, `bodies`, `gateway`, `floods`
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut stages = Stages::default();
    let fetching = thread::spawn(|| [Part::Valkey, Part::Envoy].map(|part| part.get().map(|path| (part.variable(), path))));
    // Only what is measured and what measures: as released is slow to build.
    let mut build = cargo();
    build.args(["build", "--release", "--workspace"]);
    for binary in ["bulkhead-ext-authz", "bulkhead-ratelimit", "bulkhead-bench"] {
        build.args(["--bin", binary]);
    }
    stages.command("building as released (Envoy and Valkey are fetched meanwhile)", &mut build)?;
    let parts = fetching.join().map_err(|_| "the fetching thread died".to_owned())?;
    let binaries = target()?.join("release");
    let mut bench = Command::new(binaries.join("bulkhead-bench"));
    bench.current_dir(root()).env("BULKHEAD_BIN_DIR", &binaries);
    for part in parts {
        let (variable, path) = part?;
        bench.env(variable, path);
    }
    bench.arg("--seconds").arg(options.seconds.to_string());
    for (flag, given) in [("--json", options.json), ("--full", options.full)] {
        if given {
            bench.arg(flag);
        }
    }
    if let Some(pattern) = &options.only {
        bench.args(["--only", pattern]);
    }
    // We become the bench: Ctrl-C then reaches one process, which stops what it started.
    Err(format!("bulkhead-bench: {}", bench.exec()))
}
