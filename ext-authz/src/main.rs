//! `bulkhead-ext-authz`: serve, validate, explain, check-envoy, probe.

use std::process::ExitCode;

use bulkhead_check_envoy::command;
use bulkhead_doors::{args, audit::verify, configuration::validate, fatal::exit, probe::probe, run::block_on};
use bulkhead_ext_authz::{
    args::{Cli, Command, SERVICE},
    explain::explain,
    serve::serve,
};

/// With the system's allocator a large part of a decision goes to malloc and free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match args::parse::<Cli>(&SERVICE).command {
        Command::Serve(args) => block_on(serve(*args)),
        Command::Validate(args) => validate(&args.config),
        Command::Explain(args) => block_on(explain(args)),
        Command::Verify(args) => verify(&args),
        Command::CheckEnvoy(args) => command::run(&args.files),
        Command::Probe(args) => exit(probe(&args)),
    }
}
