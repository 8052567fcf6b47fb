//! A configuration folder that changes as an operator's tools change it: each file is written whole and renamed into place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::parts;

/// A folder for `--config`, gone when it is dropped.
pub struct Config {
    directory: TempDir,
}

impl Config {
    /// An empty one.
    ///
    /// # Panics
    /// Where the disk is full; the same goes for the others.
    #[must_use]
    pub fn empty() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        fs::create_dir(directory.path().join("config")).expect("a writable directory");
        Self { directory }
    }

    /// A copy of `examples/config`: acme, as the articles print it, and globex.
    ///
    /// # Panics
    /// See [`Config::empty`].
    #[must_use]
    pub fn as_shipped() -> Self {
        let config = Self::empty();
        copy(&parts::workspace().join("examples/config"), &config.path());
        config
    }

    /// The same with an acme that reads no bodies and keeps no record of what is allowed: a test says which of it it wants.
    ///
    /// # Panics
    /// See [`Config::empty`].
    #[must_use]
    pub fn examples() -> Self {
        let config = Self::as_shipped();
        config.replace("namespaces/tenant-acme/contract.yaml", "audit: full", "audit: denied");
        config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
            policy["spec"].as_object_mut().expect("a spec").remove("contentFilter").expect("a content filter");
        });
        config
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// A file's text.
    ///
    /// # Panics
    /// Where there is no such file.
    #[must_use]
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Writes a file: `namespaces/tenant-acme/contract.yaml`.
    ///
    /// # Panics
    /// See [`Config::empty`].
    pub fn write(&self, file: &str, text: &str) {
        let target = self.path().join(file);
        fs::create_dir_all(target.parent().expect("a file has a directory")).expect("a writable directory");
        let staged = self.directory.path().join("staged");
        fs::write(&staged, text).expect("a writable directory");
        fs::rename(&staged, &target).expect("a rename inside one file system");
    }

    /// Writes one resource (JSON is YAML).
    pub fn put(&self, file: &str, resource: &Value) {
        self.write(file, &resource.to_string());
    }

    /// Changes the resources of a file, in their order.
    ///
    /// # Panics
    /// Where the file is no YAML.
    pub fn edit_all(&self, file: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let mut resources: Vec<Value> = serde_saphyr::from_multiple(&self.read(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        change(&mut resources);
        let documents: Vec<String> = resources.iter().map(Value::to_string).collect();
        self.write(file, &documents.join("\n---\n"));
    }

    /// Changes the first resource of a file.
    pub fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        self.edit_all(file, |resources| change(&mut resources[0]));
    }

    /// Replaces a text, which must be there.
    ///
    /// # Panics
    /// Where it is not.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} holds no {from}");
        self.write(file, &text.replace(from, to));
    }

    /// Deletes a file.
    ///
    /// # Panics
    /// Where there is no such file.
    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a writable directory");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("a readable directory");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a writable directory");
        }
    }
}
