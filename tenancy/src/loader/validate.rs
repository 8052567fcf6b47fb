//! `validate`: everything that is wrong with a configuration folder, without serving it.

use std::{fmt, path::Path, sync::Arc};

use crate::{
    catalog::Catalog,
    clock::SystemClock,
    fault::{Fault, Severity},
    loader::StartError,
    source::directory::DirectorySource,
};

/// What `validate` found. As text: one line an error, `FILE:LINE:COLUMN: FIELD: MESSAGE`.
#[derive(Debug, Clone, Default)]
pub struct Validation {
    /// Errors and warnings, by file and line.
    pub faults: Vec<Fault>,
}

impl Validation {
    /// What is refused.
    pub fn errors(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| fault.severity == Severity::Error)
    }

    /// What loads, and its author should know.
    pub fn warnings(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(|fault| fault.severity == Severity::Warning)
    }

    /// The warnings as lines, of the form that errors have: `FILE:LINE:COLUMN: FIELD: warning: MESSAGE`.
    pub fn warning_lines(&self) -> impl Iterator<Item = String> {
        self.warnings().map(|fault| Fault { message: format!("warning: {}", fault.message), ..fault.clone() }.to_string())
    }

    /// The exit status: 0, or 2 if there is an error.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        if self.errors().next().is_some() { 2 } else { 0 }
    }
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.errors().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}

/// Checks a configuration folder as the services would load it.
///
/// # Errors
/// The system gives no handles. A folder that cannot be read is a fault like others.
pub fn validate(config: &Path) -> Result<Validation, StartError> {
    let (changes, mut faults) = DirectorySource::read_once(config)?;
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    // Without a Platform there is no snapshot; what is wrong is among the faults.
    let _ = catalog.apply(changes);
    faults.extend(catalog.faults());
    faults.sort_by(|one, two| (&one.file, one.line, one.column, &one.field).cmp(&(&two.file, two.line, two.column, &two.field)));
    Ok(Validation { faults })
}
