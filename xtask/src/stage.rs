//! Stages of a command, each with its progress and its time.

use std::{
    process::Command,
    time::{Duration, Instant},
};

/// What was run so far.
#[derive(Default)]
pub(crate) struct Stages {
    done: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// Runs one stage; what it printed stands above the line that tells how long it took.
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        eprintln!("\n==> {name}");
        let start = Instant::now();
        let result = work();
        self.done.push((name, start.elapsed()));
        if let Err(message) = result {
            self.summary();
            return Err(format!("stage \"{name}\" FAILED: {message}"));
        }
        Ok(())
    }

    /// Runs a command as a stage.
    pub(crate) fn command(&mut self, name: &'static str, command: &mut Command) -> Result<(), String> {
        self.run(name, || run(command))
    }

    /// Prints what each stage took.
    pub(crate) fn summary(&self) {
        eprintln!();
        for (name, time) in &self.done {
            eprintln!("    {:>7.1} s  {name}", time.as_secs_f64());
        }
    }
}

/// Runs a command to its end; its output is the user's.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    Err(format!("`{} {}` ended with {status}", command.get_program().to_string_lossy(), arguments.join(" ")))
}
