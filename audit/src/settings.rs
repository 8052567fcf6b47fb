//! What an operator says of the audit streams of one service.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use crate::chain::Seal;

/// The settings of one service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ext-authz` or `ratelimit`.
    pub service: &'static str,
    /// What tells this writer from others of the service; none: the machine's name, and a number if another process has it.
    pub instance: Option<Instance>,
    /// Where regions live that the Platform gives no folder.
    pub directory: Option<PathBuf>,
    /// When a record counts as accepted.
    pub sync: Sync,
    /// When a file is complete.
    pub rotation: Rotation,
    /// The most bytes that one stream's files may have together. A stream that has them is full: its tenant's `audit: full` is denied.
    pub stream_bytes: u64,
    /// What hashes are made with.
    pub seal: Seal,
    /// The bounds of what waits for a disk.
    pub queue: Bounds,
    /// Streams that may be open at a time, in all regions together: two descriptors each ([`crate::descriptors`]).
    pub open_streams: usize,
}

/// The name of one writer of a service: a label, as it stands in names of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    /// The machine's name, as far as a label can be made of it.
    #[must_use]
    pub fn of_machine() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        let label: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(56).collect();
        Self(label).checked().unwrap_or_else(|_| Self("instance".to_owned()))
    }

    /// The same with a number, for a further process of the machine.
    #[must_use]
    pub(crate) fn numbered(&self, number: u32) -> Self {
        if number <= 1 { self.clone() } else { Self(format!("{}-{number}", self.0)) }
    }

    fn checked(self) -> Result<Self, String> {
        let label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fine = !self.0.is_empty() && self.0.len() <= 63 && self.0.bytes().all(label);
        if fine && !self.0.starts_with('-') && !self.0.ends_with('-') {
            Ok(self)
        } else {
            Err("must be lower-case letters, digits and inner hyphens, at most 63".to_owned())
        }
    }
}

impl FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self(text.to_owned()).checked()
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a record counts as accepted, so that `audit: full` may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// Once it is on the disk: records that wait together share one sync. It survives the machine.
    Each,
    /// Once the system has it; disks are synced every second. It survives the process; a machine that dies may lose the last second.
    #[default]
    Batch,
    /// Once the system has it, which writes it when it likes.
    Os,
}

/// When a file is complete and the next begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Once it has so many bytes.
    pub bytes: u64,
    /// Once its first record is so old, at the next record.
    pub age: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { bytes: 64 << 20, age: Duration::from_secs(24 * 3600) }
    }
}

/// How much may wait for a disk, in bytes of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of one stream.
    pub stream: usize,
    /// The part of a stream's that only records of `audit: full` may take.
    pub reserve: usize,
    /// Of all streams of one folder: beyond it each has `share` of its own.
    pub folder: usize,
    /// What a stream always has, however much the others wait for.
    pub share: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { stream: 1 << 20, reserve: 256 << 10, folder: 128 << 20, share: 16 << 10 }
    }
}
