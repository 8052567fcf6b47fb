//! A hash of what is shown of something, without the text in between.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Hashes what is written into it.
#[derive(Default)]
pub(crate) struct Rendering(Sha256);

impl Rendering {
    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.update(bytes);
    }

    /// The hash, in hexadecimal digits.
    pub(crate) fn digest(self) -> String {
        hex::encode(self.0.finalize())
    }
}

impl fmt::Write for Rendering {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}
