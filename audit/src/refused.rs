//! Why a record is not written.

use std::sync::Arc;

/// Why a record is not written. The text is the operator's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing says where the tenant's region is.
    #[error("no audit folder is known for its region (--audit-dir, or `regions` of the Platform)")]
    Nowhere,
    /// Too much of the stream waits for its disk.
    #[error("the queue of its audit stream is full")]
    QueueFull,
    /// The stream has as many bytes as it may.
    #[error("its audit stream is full (--audit-stream-bytes)")]
    StreamFull,
    /// The disk cannot take it.
    #[error("its audit stream cannot be written: {0}")]
    Disk(Arc<str>),
    /// The disk could not take all of it, nor give back what it took.
    #[error("its audit stream holds it in part or whole, and cannot be cut back: {0}")]
    Uncut(Arc<str>),
    /// It is written, and the disk did not make it last.
    #[error("its audit stream cannot be synced: {0}")]
    Unsynced(Arc<str>),
    /// The disk did not take it in time.
    #[error("its audit stream was not written in time")]
    Late,
    /// The service ends.
    #[error("the audit streams are closed: the service ends")]
    Ended,
}

impl Refused {
    /// Whether the record may stand in its stream all the same: then one after it must say what was answered in its place.
    #[must_use]
    pub const fn may_stand(&self) -> bool {
        match self {
            Self::Uncut(_) | Self::Unsynced(_) | Self::Late | Self::Ended => true,
            Self::Nowhere | Self::QueueFull | Self::StreamFull | Self::Disk(_) => false,
        }
    }
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Self::Disk(Arc::from(error.to_string()))
    }
}
