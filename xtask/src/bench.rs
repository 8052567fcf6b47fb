//! `cargo xtask bench`: outside the tests, because figures are for reading.

use clap::Args;

/// How to print.
#[derive(Args)]
pub(crate) struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let form = if options.json { "JSON" } else { "text" };
    Err(format!("the measurements (load, reload, throughput and latency of both services, as {form}) are not built yet"))
}
