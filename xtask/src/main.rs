//! `cargo xtask demo | test | bench | simulate | fuzz | parts`: the project's own commands. Light on dependencies, so that it compiles in seconds.
#![expect(clippy::print_stderr, reason = "a command line tool shows its progress there")]

mod bench;
mod demo;
mod fuzz;
mod keycloak;
mod parts;
mod redis_tls;
mod simulate;
mod stage;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Bulkhead's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything on free ports and play the isolation story; exit 1 if a step differs
    Demo(demo::Options),
    /// Formatting, clippy, unit, property, doc and end-to-end tests
    Test(test::Options),
    /// Measure load time, reload time, throughput and latency
    Bench(bench::Options),
    /// Play the limiter's protocol with faults, seed by seed
    Simulate(simulate::Options),
    /// Look for inputs that a parser falls for, guided by coverage
    Fuzz(fuzz::Options),
    /// Fetch Envoy, Valkey, a Redis with TLS and Keycloak (verified, cached), and print where they are
    Parts,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Parts => parts::print(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("\nxtask: {message}");
            ExitCode::FAILURE
        }
    }
}
