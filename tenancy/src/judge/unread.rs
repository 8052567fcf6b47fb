//! What cannot be said while a part of the partition was not read.

use std::sync::Arc;

use crate::{
    fault::{Fault, Severity},
    place::At,
};

/// The first file of which something is missing, if there is one: whatever a name names may stand there.
#[derive(Debug, Default)]
pub(crate) struct Unread(Option<Arc<str>>);

impl Unread {
    /// As these faults of the partition's source, and of its files as they were read, say.
    pub(crate) fn of<'f>(faults: impl IntoIterator<Item = &'f Fault>) -> Self {
        Self(faults.into_iter().find(|fault| fault.severity == Severity::Error).map(|fault| Arc::clone(&fault.file)))
    }

    /// What to say of a name that names nothing that was read: this fault, unless it may be wrong. The file that is broken has an error of
    /// its own, so nothing is decided by the partition in either case.
    pub(super) fn missing<T>(&self, name: &At<T>, fault: Fault) -> Fault {
        match &self.0 {
            None => fault,
            Some(file) => name.warning(format!("cannot be checked while {file} is broken")),
        }
    }
}
