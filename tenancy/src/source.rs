//! Where resources come from. A source reads partitions and says which of them changed; it knows nothing of what stands in them.
//!
//! The directory is one source; Kubernetes becomes another behind a cargo feature. A partition is hostile input (S16), and a read error
//! is never a deletion (S10): the three kinds of [`Content`] keep these apart.

pub mod directory;

use std::{fmt, sync::Arc, time::Duration};

use crate::{fault::Fault, name::Namespace};

/// One file of a partition (or one object of Kubernetes), as text. What it says is not checked yet.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is, relative to the configuration folder: what faults name.
    pub path: Arc<str>,
    /// What stands in it.
    pub text: String,
}

impl fmt::Debug for SourceFile {
    /// The text may hold a store's password: it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceFile").field("path", &self.path).field("bytes", &self.text.len()).finish()
    }
}

/// Whose resources a partition holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionKey {
    /// The operator's: Platform, Plan, Tenant.
    Operator,
    /// A tenant's own.
    Namespace(Namespace),
}

/// What a partition holds at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It was read.
    Files {
        /// Its files, by path.
        files: Vec<SourceFile>,
        /// Files that were refused (S16). What they would have said is unknown, so such a partition is not complete.
        faults: Vec<Fault>,
    },
    /// It could not be read. That is not a deletion: what was good stays (S10).
    Unreadable(Fault),
    /// It was deleted. That applies at once (S10).
    Gone,
}

impl Content {
    /// What an empty partition holds.
    pub const NOTHING: Self = Self::Files { files: Vec::new(), faults: Vec::new() };
}

/// A partition and what it holds now, in place of all it held before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which partition.
    pub partition: PartitionKey,
    /// What it holds.
    pub content: Content,
}

/// Where resources come from: directories, later Kubernetes. Blocking; it lives on a thread of its own.
pub trait Source: Send {
    /// Every partition there is, each in one change. Called once, before [`Source::wait`].
    fn read(&mut self) -> Vec<Change>;

    /// Waits until partitions differ from what was reported last, or until `patience` is over or the [`Waker`] was used (then: no changes).
    fn wait(&mut self, patience: Duration) -> Vec<Change>;

    /// What is wrong with the source itself, outside of every partition, as of the last read: folders that cannot be partitions, changes that
    /// are not heard of.
    fn faults(&self) -> Vec<Fault>;

    /// Ends a [`Source::wait`] from another thread.
    fn waker(&self) -> Waker;
}

/// Ends a wait from another thread.
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that does this.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(wake))
    }

    /// Ends the wait of the moment, or the next one.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
