//! `check-envoy FILE...`: a line for each finding, `FILE:LINE: RULE: WHAT; HOW TO MEND IT`.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use crate::check;

/// Checks files; exit status 0 if nothing is found, else 2, as where one cannot be read.
#[must_use]
pub fn run(files: &[PathBuf]) -> ExitCode {
    let mut clean = true;
    for file in files {
        let shown = file.display().to_string();
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: {shown}: {error}");
                clean = false;
                continue;
            }
        };
        match check(&shown, &text) {
            Ok(findings) => {
                clean &= findings.is_empty();
                for finding in findings {
                    let _ = writeln!(io::stdout(), "{shown}:{finding}");
                }
            }
            Err(faults) => {
                clean = false;
                for fault in faults {
                    let _ = writeln!(io::stderr(), "error: {fault}");
                }
            }
        }
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
