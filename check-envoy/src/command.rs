//! `check-envoy FILE...`: a line for each finding, `FILE:LINE: RULE: WHAT; HOW TO MEND IT`.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use crate::{Checked, Unjudged, check};

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
            Ok(Checked { findings, unjudged }) => {
                clean &= findings.is_empty();
                for finding in findings {
                    let _ = writeln!(io::stdout(), "{shown}:{finding}");
                }
                for Unjudged { line, kind } in unjudged {
                    let _ = writeln!(
                        io::stderr(),
                        "note: {shown}:{line}: of this {kind} its own words were judged, and not what comes from elsewhere (order of filters, routes, paths, \
                         headers, clusters): check what its Envoy answers to GET /config_dump, too"
                    );
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
