//! `cargo xtask simulate`: builds the simulation of the limiter's protocol, and hands over to it. As the tests build it: that plays ten million
//! decisions in a minute or two, and a release build takes longer than that.

use std::os::unix::process::CommandExt as _;

use clap::Args;

use crate::{
    stage::Stages,
    workspace::{binaries, cargo, root},
};

/// What is handed over.
#[derive(Args)]
pub(crate) struct Options {
    /// For `bulkhead-simulate`: --seeds N, --seed S, --decisions N, --trace
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut stages = Stages::default();
    stages.command("building", cargo().args(["build", "-p", "bulkhead-simulation", "--bins"]))?;
    let mut simulate = std::process::Command::new(binaries()?.join("bulkhead-simulate"));
    Err(format!("bulkhead-simulate: {}", simulate.current_dir(root()).args(&options.rest).exec()))
}
