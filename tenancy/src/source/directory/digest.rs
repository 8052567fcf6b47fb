//! Whether a folder holds what it held before.

use sha2::{Digest, Sha256};

use crate::source::Content;

/// How many bytes of text it holds.
pub(super) fn bytes(content: &Content) -> u64 {
    match content {
        Content::Files { files, .. } => files.iter().map(|file| file.text.len() as u64).sum(),
        Content::Unreadable(_) | Content::Gone => 0,
    }
}

/// What tells it from another content.
pub(super) fn digest(content: &Content) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |kind: u8, text: &str| {
        hash.update([kind]);
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    match content {
        Content::Gone => part(0, ""),
        Content::Unreadable(fault) => part(1, &fault.to_string()),
        Content::Files { files, faults } => {
            for file in files {
                part(2, &file.path);
                part(3, &file.text);
            }
            for fault in faults {
                part(4, &fault.to_string());
            }
        }
    }
    hash.finalize().into()
}
