//! `cargo xtask fuzz`: the targets of `fuzz/` under libFuzzer, guided by coverage. On the stable compiler: the instrumentation is LLVM's own pass. What it
//! builds is instrumented too, so it has a target directory of its own, and takes minutes the first time; the tests play the same targets without it.

use std::{path::Path, process::Command};

use clap::Args;

use crate::{
    stage::{Stages, run as run_to_end},
    workspace::{cargo, root, target},
};

/// What the compiler puts in, for libFuzzer to see where an input went.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";

/// What to look at, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// For how long each target runs
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// One target alone: a folder of `fuzz/corpus`
    target: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut stages = Stages::default();
    let directory = target()?.join("fuzz");
    let host = host()?;
    let mut build = cargo();
    // With a target named, though it is this machine, the flags are not for build scripts and macros: those have no libFuzzer to be linked with.
    build
        .args(["build", "-p", "bulkhead-fuzz", "--features", "libfuzzer", "--bins", "--target", &host, "--target-dir"])
        .arg(&directory)
        .env("RUSTFLAGS", FLAGS);
    stages.command("building with instrumentation", &mut build)?;
    let corpus = root().join("fuzz/corpus");
    let read = std::fs::read_dir(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let mut targets: Vec<String> = read.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    targets.sort();
    if let Some(wanted) = &options.target {
        targets.retain(|target| target == wanted);
        if targets.is_empty() {
            return Err(format!("there is no target {wanted}"));
        }
    }
    stages.run("fuzzing", || targets.iter().try_for_each(|target| fuzz(target, &directory, &host, options.seconds)))?;
    stages.summary();
    Ok(())
}

/// What this machine is called by the compiler.
fn host() -> Result<String, String> {
    let told = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc -vV: {error}"))?;
    let told = String::from_utf8_lossy(&told.stdout);
    told.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn fuzz(target: &str, directory: &Path, host: &str, seconds: u32) -> Result<(), String> {
    // What is found meanwhile stays out of the sources; an input that fails is told, and belongs into the corpus.
    let found = directory.join("corpus").join(target);
    std::fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    let mut fuzz = Command::new(directory.join(host).join("debug/bulkhead-fuzz"));
    fuzz.current_dir(root()).env("BULKHEAD_FUZZ_TARGET", target).arg(&found).arg(root().join("fuzz/corpus").join(target));
    fuzz.arg(format!("-max_total_time={seconds}")).args(["-max_len=65536", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    fuzz.arg(format!("-artifact_prefix={}/{target}-", directory.display()));
    eprintln!("    {target}");
    run_to_end(&mut fuzz)
}
