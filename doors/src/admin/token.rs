//! The operator's token: a file that is read at every request.

use std::{fs, io::Read, path::Path};

use secrecy::{ExposeSecret, SecretString};

/// The largest token file.
const TOKEN_BYTES: u64 = 4096;

/// Reads the token of a file.
///
/// # Errors
/// What is wrong with the file, never what it holds.
pub(super) fn read_token(path: &Path) -> Result<SecretString, String> {
    // A link is followed (Kubernetes mounts secrets so), a pipe or a device is not opened.
    let found = fs::metadata(path).map_err(|why| why.to_string())?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|why| why.to_string())?;
    file.take(TOKEN_BYTES + 1).read_to_string(&mut text).map_err(|why| why.to_string())?;
    let token = SecretString::from(text);
    let length = token.expose_secret().len() as u64;
    if length > TOKEN_BYTES {
        return Err(format!("is larger than {TOKEN_BYTES} bytes"));
    }
    let trimmed = token.expose_secret().trim();
    if trimmed.is_empty() {
        return Err("is empty".to_owned());
    }
    if trimmed.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("must hold one token on one line".to_owned());
    }
    Ok(SecretString::from(trimmed))
}
