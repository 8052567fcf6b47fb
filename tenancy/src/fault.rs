//! What is wrong with a resource, said so that its author finds it: file, line, column, field.

use std::{fmt, sync::Arc};

/// One fault of one place. Its text never quotes another partition, nor a secret (S16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, relative to the configuration folder (or the Kubernetes object).
    pub file: Arc<str>,
    /// The line, from 1; 0 where the fault has none (a file that cannot be read).
    pub line: u32,
    /// The column in characters, from 1; 0 where it has none.
    pub column: u32,
    /// The field as a dotted path: `spec.apis[0].upstream`; empty for the whole file.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// Whether something is refused because of it.
    pub severity: Severity,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The resource is refused.
    Error,
    /// It loads; its author should know.
    Warning,
}

impl fmt::Display for Fault {
    /// `FILE:LINE:COLUMN: FIELD: MESSAGE`, as `validate` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "-" } else { &self.field };
        write!(f, "{}:{}:{}: {field}: {}", self.file, self.line, self.column, self.message)
    }
}
