//! Why a service ends, and with which exit status.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use crate::logs::within;

/// How long the end waits for standard error to take why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What ends a process. Its text is for the operator; it holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// What the operator asked for cannot be: a flag, a combination of flags, a file they name, the Platform. Exit status 2, before anything is bound.
    #[error("{0}")]
    Usage(String),
    /// It should have worked and did not: an address in use, a listener that broke. Exit status 1.
    #[error("{0}")]
    Failed(String),
}

impl Fatal {
    /// An error of what was asked for: exit status 2.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// An error of the moment: exit status 1.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// The exit status.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::from(1),
        }
    }
}

/// The exit status of how a command ended; prints why, if not in order.
pub fn exit(ended: Result<(), Fatal>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            let status = fatal.exit_code();
            within(LAST_WORDS, move || {
                let _ = writeln!(io::stderr(), "error: {fatal}");
            });
            status
        }
    }
}
