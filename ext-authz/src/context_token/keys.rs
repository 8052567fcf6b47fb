//! The keys of context tokens over time. A key is published before it signs, so that verifiers that keep the set for a while have it, and
//! after it signed last, until nothing that it signed is valid any more.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use serde_json::json;

use super::key::Key;

/// How long a key of our own signs, in seconds.
pub(super) const SIGNS: i64 = 24 * 3600;
/// How long the next key is published before it signs, in seconds: longer than anybody keeps a key set.
pub(super) const AHEAD: i64 = 3600;
/// How long a key is published after it signed last, in seconds: the longest `ttlSeconds` (an hour), and five minutes for clocks that differ.
pub(super) const AFTER: i64 = 3600 + 300;

/// The most keys of a file.
const MAX_KEYS: usize = 16;

/// Where keys come from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// Made here, and never written anywhere: each replica has its own.
    Own,
    /// A file of PEM blocks that replicas share, read again once a minute: all keys are published, and the first one signs. One that comes to
    /// a file signs only after it was published for [`AHEAD`], wherever it stands, as long as the one before it stays in the file.
    File(PathBuf),
}

/// There is no key to sign with.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum KeysError {
    #[error("no key could be made: the system has no randomness")]
    Randomness,
    #[error("{file}: {reason}", file = file.display())]
    File { file: PathBuf, reason: String },
}

/// The keys.
#[derive(Debug)]
pub struct Keys {
    source: KeySource,
    signing: ArcSwap<Key>,
    book: Mutex<Book>,
}

/// Every key that is published, beside the one that signs.
#[derive(Debug)]
struct Book {
    /// Since when the present key signs.
    since: i64,
    /// Keys that do not sign: of our own, the next one; of a file, all others.
    coming: Vec<Arc<Key>>,
    /// Since when each key of a file is published, by `kid`.
    published: HashMap<String, i64>,
    /// Keys that sign no more, each with the moment from which nothing of it is valid.
    gone: Vec<(Arc<Key>, i64)>,
}

impl Keys {
    /// Keys from this source, in use from `now` (seconds since 1970).
    ///
    /// # Errors
    /// The file cannot be read, or holds no key that does.
    pub fn new(source: KeySource, now: i64) -> Result<Self, KeysError> {
        let mut listed = match &source {
            KeySource::Own => vec![Arc::new(Key::generate().ok_or(KeysError::Randomness)?)],
            KeySource::File(path) => read(path)?,
        };
        let published = listed.iter().map(|key| (key.kid().to_owned(), now)).collect();
        // Nobody knows here what was published before: at a start the order of the file alone counts.
        let signing = listed.remove(0);
        let book = Mutex::new(Book { since: now, coming: listed, published, gone: Vec::new() });
        Ok(Self { source, signing: ArcSwap::new(signing), book })
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> arc_swap::Guard<Arc<Key>> {
        self.signing.load()
    }

    /// The public keys, the one that signs first.
    pub(super) fn jwks(&self) -> String {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let signing = self.signing.load();
        let gone = book.gone.iter().map(|(key, _)| key);
        let keys: Vec<_> = [&*signing].into_iter().chain(&book.coming).chain(gone).map(|key| key.jwk()).collect();
        json!({ "keys": keys }).to_string()
    }

    /// Does what is due.
    pub(super) fn turn(&self, now: i64) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.source {
            KeySource::Own => self.rotate(&mut book, now),
            KeySource::File(path) => match read(path) {
                Ok(listed) => self.follow(&mut book, listed, now),
                Err(error) => tracing::warn!(%error, "the context token's keys could not be read again: the last ones sign"),
            },
        }
        for (_, until) in &mut book.gone {
            // A clock that was set back keeps nothing for longer than it is needed.
            *until = (*until).min(now.saturating_add(AFTER));
        }
        book.gone.retain(|(_, until)| *until > now);
    }

    fn rotate(&self, book: &mut Book, now: i64) {
        book.since = book.since.min(now);
        let age = now.saturating_sub(book.since);
        if age >= SIGNS - AHEAD && book.coming.is_empty() {
            // Without randomness the present key signs on; the next turn tries again.
            book.coming.extend(Key::generate().map(Arc::new));
            return;
        }
        if age >= SIGNS
            && let Some(next) = book.coming.pop()
        {
            book.gone.push((self.signing.swap(next), now.saturating_add(AFTER)));
            book.since = now;
        }
    }

    /// Takes a file's keys in. What stands in it no more stays published until its tokens have expired, and signs no more from now on: it
    /// may have been stolen.
    fn follow(&self, book: &mut Book, listed: Vec<Arc<Key>>, now: i64) {
        let is_listed = |key: &Arc<Key>| listed.iter().any(|one| one.kid() == key.kid());
        let before: Vec<Arc<Key>> = [self.signing.load_full()].into_iter().chain(book.coming.drain(..)).collect();
        book.gone.retain(|(key, _)| !is_listed(key));
        book.gone.extend(before.into_iter().filter(|key| !is_listed(key)).map(|key| (key, now.saturating_add(AFTER))));
        let known = std::mem::take(&mut book.published);
        book.published =
            listed.iter().map(|key| (key.kid().to_owned(), known.get(key.kid()).map_or(now, |since| *since.min(&now)))).collect();

        let present = self.signing.load();
        let is_known = |key: &&Arc<Key>| book.published.get(key.kid()).is_some_and(|since| now.saturating_sub(*since) >= AHEAD);
        let first_known = listed.iter().find(|key| key.kid() == present.kid() || is_known(key));
        // Where verifiers know none of them, one must sign all the same.
        let Some(signing) = first_known.or(listed.first()) else { return };
        if present.kid() != signing.kid() {
            tracing::info!(kid = signing.kid(), "another key signs context tokens");
            self.signing.store(Arc::clone(signing));
        }
        book.coming = listed.iter().filter(|key| key.kid() != signing.kid()).cloned().collect();
    }
}

/// The keys of a file, at least one. An error quotes nothing of the file.
fn read(path: &Path) -> Result<Vec<Arc<Key>>, KeysError> {
    let wrong = |reason: String| KeysError::File { file: path.to_owned(), reason };
    let blocks = PrivateKeyDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let mut keys = Vec::new();
    for (place, block) in (1..).zip(blocks) {
        if place > MAX_KEYS {
            return Err(wrong(format!("more than {MAX_KEYS} keys")));
        }
        let der = block.map_err(|_| wrong(format!("block {place} is no PEM private key")))?;
        let key = Key::from_der(der.secret_der()).ok_or_else(|| wrong(format!("block {place} is no private key on P-256")))?;
        keys.push(Arc::new(key));
    }
    if keys.is_empty() {
        return Err(wrong("no private key stands in it".to_owned()));
    }
    Ok(keys)
}
