//! Tenants' own tokens for the admin door: a file of the operator's, one line a token, that holds hashes alone.
//!
//! ```text
//! # tenant: sha256:HEX of the token; a uid after `@` binds it to the one tenant that has it
//! acme: sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
//! globex@01JD2Z9B6M: sha256:fcf730b6d95236ecd3c9fc2d92d7b6b2bb061514961aec041d6c7a7192f592e4
//! ```
//!
//! Tokens are looked up by their hash: how long that takes tells of a hash that nobody can choose, never of the token. Each should hold 128
//! random bits or more, as a hash can be searched for.

use std::{
    collections::HashMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::caller::Caller;

/// The largest file: some 100,000 tokens.
const BYTES: u64 = 16 << 20;

/// A file changed so lately may change again within the resolution of its time stamp, and is read again until it is older.
const SETTLED: Duration = Duration::from_secs(2);

type Hashes = HashMap<[u8; 32], Caller>;

/// The tokens of a file, read again when it changes.
#[derive(Debug, Clone)]
pub(super) struct TenantTokens {
    file: PathBuf,
    last: Arc<Mutex<Option<Version>>>,
}

/// What was read, and of which file.
struct Version {
    mark: Mark,
    hashes: Arc<Hashes>,
}

impl std::fmt::Debug for Version {
    /// Hashes are not shown: one of a weak token can be searched for.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("mark", &self.mark).finish_non_exhaustive()
    }
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    changed: SystemTime,
    bytes: u64,
    inode: u64,
}

impl TenantTokens {
    /// Reads the file, which must be good now.
    ///
    /// # Errors
    /// What is wrong with it, and in which line.
    pub(super) fn open(file: &Path) -> Result<Self, String> {
        let tokens = Self { file: file.to_path_buf(), last: Arc::default() };
        tokens.hashes().map(|_| tokens)
    }

    /// Whose token this is. A file that turned bad admits nobody.
    pub(super) fn holder(&self, presented: &str) -> Option<Caller> {
        match self.hashes() {
            Ok(hashes) => hashes.get::<[u8; 32]>(&Sha256::digest(presented).into()).cloned(),
            Err(why) => {
                tracing::error!(file = %self.file.display(), error = %why, "tenants' tokens cannot be read: no tenant is let in");
                None
            }
        }
    }

    fn hashes(&self) -> Result<Arc<Hashes>, String> {
        let mark = mark(&self.file)?;
        let settled = mark.changed.elapsed().is_ok_and(|age| age >= SETTLED);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| settled && known.mark == mark) {
            return Ok(Arc::clone(&known.hashes));
        }
        *last = None;
        let mut text = String::new();
        let file = fs::File::open(&self.file).map_err(|why| why.to_string())?;
        file.take(BYTES + 1).read_to_string(&mut text).map_err(|why| why.to_string())?;
        let hashes = Arc::new(read(&text)?);
        // What was read while it was still changing is not kept.
        *last = settled.then(|| Version { mark, hashes: Arc::clone(&hashes) });
        Ok(hashes)
    }
}

fn mark(file: &Path) -> Result<Mark, String> {
    use std::os::unix::fs::MetadataExt;
    // A link is followed (Kubernetes mounts secrets so), a pipe or a device is not opened.
    let found = fs::metadata(file).map_err(|why| why.to_string())?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if found.len() > BYTES {
        return Err(format!("is larger than {BYTES} bytes"));
    }
    Ok(Mark { changed: found.modified().map_err(|why| why.to_string())?, bytes: found.len(), inode: found.ino() })
}

/// Reads the lines. An error names the line and never what stands in it.
fn read(text: &str) -> Result<Hashes, String> {
    let mut hashes = Hashes::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (hash, caller) = entry(line).map_err(|why| format!("line {number}: {why}"))?;
        if hashes.insert(hash, caller).is_some() {
            return Err(format!("line {number}: the token is another line's too"));
        }
    }
    Ok(hashes)
}

fn entry(line: &str) -> Result<([u8; 32], Caller), String> {
    let (who, hash) = line.split_once(':').ok_or("must be `tenant: sha256:HEX`")?;
    let (name, uid) = who.trim().split_once('@').map_or((who.trim(), None), |(name, uid)| (name, Some(uid)));
    let name = name.parse().map_err(|why| format!("the tenant {why}"))?;
    let uid = uid.map(str::parse).transpose().map_err(|why| format!("the uid {why}"))?;
    let digits = hash.trim().strip_prefix("sha256:").ok_or("the token's hash must begin with `sha256:`")?;
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).map_err(|_| "the token's hash must be 64 hexadecimal digits")?;
    Ok((hash, Caller::Tenant { name, uid }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(who: &str, token: &str) -> String {
        format!("{who}: sha256:{}\n", hex::encode(Sha256::digest(token)))
    }

    #[test]
    fn a_token_is_its_tenants() {
        let text = format!("# ours\n\n{}{}{}", line("acme", "one"), line("acme", "two"), line("globex@u-1", "three"));
        let hashes = read(&text).unwrap();
        let holder = |token: &str| hashes.get::<[u8; 32]>(&Sha256::digest(token).into()).map(ToString::to_string);
        assert_eq!(
            (holder("one"), holder("two"), holder("three")),
            (Some("tenant acme".into()), Some("tenant acme".into()), Some("tenant globex".into()))
        );
        assert_eq!(holder("four"), None);
    }

    #[test]
    fn an_error_names_the_line_and_shows_nothing_of_it() {
        let secret = "0123456789abcdef";
        let twice = line("acme", "one") + &line("globex", "one");
        for (text, says) in [
            (format!("acme {secret}"), "line 1: must be"),
            (format!("#\nacme: {secret}"), "line 2: the token's hash must begin"),
            (format!("acme: sha256:{secret}"), "line 1: the token's hash must be 64"),
            (format!("ACME: sha256:{secret}"), "line 1: the tenant must be lower-case"),
            (format!("acme@ : sha256:{secret}"), "line 1: the uid must"),
            (twice, "line 2: the token is another line's too"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(says) && !error.contains(secret), "{error}");
        }
    }
}
