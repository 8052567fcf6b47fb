//! `cargo xtask simulate`: builds the simulation of the limiter's protocol as released, and hands over to it.

use std::os::unix::process::CommandExt as _;

use clap::Args;

use crate::{
    stage::Stages,
    workspace::{cargo, root, target},
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
    stages.command("building as released", cargo().args(["build", "--release", "-p", "bulkhead-simulation", "--bins"]))?;
    let mut simulate = std::process::Command::new(target()?.join("release/bulkhead-simulate"));
    Err(format!("bulkhead-simulate: {}", simulate.current_dir(root()).args(&options.rest).exec()))
}
