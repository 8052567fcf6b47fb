//! Reading one file, inside its bound.

use std::{
    fs::File,
    io::{self, Read},
};

use super::look::Found;

/// The most bytes of one file; the YAML reader's own bound is the same.
const MAX_BYTES: u64 = 4 << 20;

/// What a file holds; or what is wrong with it, by its key.
pub(super) fn text(file: &Found) -> Result<String, String> {
    let refuse = |what: &str| format!("{}: error loading config file: {what}", file.key);
    match bytes(file) {
        Err(error) => Err(refuse(&format!("cannot be read: {error}"))),
        Ok(bytes) if bytes.len() as u64 > MAX_BYTES => Err(refuse(&format!("has more than {MAX_BYTES} bytes"))),
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8")),
    }
}

fn bytes(file: &Found) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(&file.path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
