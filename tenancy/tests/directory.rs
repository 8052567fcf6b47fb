//! The directory source on real folders: what it reads, what it refuses, and which changes it follows.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a folder that cannot be prepared fails its test")]

#[path = "directory/configmap.rs"]
mod configmap;
#[path = "directory/following.rs"]
mod following;
#[path = "directory/hostile.rs"]
mod hostile;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bulkhead_tenancy::source::{Change, Content, PartitionKey, Source, directory::DirectorySource};
use tempfile::TempDir;

/// A configuration folder with an operator's file, and what its source has told of it.
pub(crate) struct Config {
    temp: TempDir,
    path: PathBuf,
    source: DirectorySource,
    told: BTreeMap<PartitionKey, Content>,
}

impl Config {
    /// Prepares a folder, then reads it.
    pub(crate) fn with(prepare: impl FnOnce(&Path)) -> Self {
        let temp = TempDir::new().unwrap();
        let path = temp.path().join("config");
        fs::create_dir_all(path.join("namespaces")).unwrap();
        fs::write(path.join("platform.yaml"), "kind: Platform").unwrap();
        prepare(&path);
        Self::at(temp, path)
    }

    /// Reads the folder that is at a path.
    pub(crate) fn at(temp: TempDir, path: PathBuf) -> Self {
        let mut source = DirectorySource::new(&path).unwrap();
        let mut told = BTreeMap::new();
        for Change { partition, content } in source.read() {
            assert!(told.insert(partition, content).is_none(), "a partition is told once");
        }
        Self { temp, path, source, told }
    }

    /// The configuration folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder around it.
    pub(crate) fn around(&self) -> &Path {
        self.temp.path()
    }

    /// What a partition holds, as last told.
    pub(crate) fn content(&self, partition: &str) -> Option<&Content> {
        self.told.get(&key(partition))
    }

    /// The texts of a partition's files by their paths.
    pub(crate) fn texts(&self, partition: &str) -> BTreeMap<String, String> {
        match self.content(partition) {
            Some(Content::Files { files, .. }) => files.iter().map(|file| (file.path.to_string(), file.text.clone())).collect(),
            other => panic!("{partition} was not read: {other:?}"),
        }
    }

    /// The faults of a partition's files, as `validate` prints them.
    pub(crate) fn faults(&self, partition: &str) -> Vec<String> {
        match self.content(partition) {
            Some(Content::Files { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
            Some(Content::Unreadable(fault)) => vec![format!("unreadable: {fault}")],
            other => panic!("{partition} was not read: {other:?}"),
        }
    }

    /// What the source says of itself.
    pub(crate) fn source_faults(&self) -> Vec<String> {
        self.source.faults().iter().map(ToString::to_string).collect()
    }

    /// Follows changes until a condition holds. Answers which partitions were told of meanwhile.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Vec<PartitionKey> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut touched = Vec::new();
        while !holds(self) {
            assert!(Instant::now() < deadline, "never seen: {what}; told: {:?}", self.told);
            for Change { partition, content } in self.source.wait(Duration::from_millis(500)) {
                touched.push(partition.clone());
                self.told.insert(partition, content);
            }
        }
        touched
    }

    /// Follows changes until one that is made now in a partition of its own was seen: everything before it was seen, too.
    pub(crate) fn settle(&mut self) -> Vec<PartitionKey> {
        let now = format!("{:?}", Instant::now());
        write(&self.path.join("namespaces/barrier/now.yaml"), &now);
        let mut touched = self.until("the barrier", |config| {
            config.content("barrier").is_some() && config.texts("barrier").values().any(|text| *text == now)
        });
        touched.retain(|key| *key != self::key("barrier"));
        touched
    }
}

/// The key of a namespace's partition; empty: the operator's.
pub(crate) fn key(partition: &str) -> PartitionKey {
    if partition.is_empty() { PartitionKey::Operator } else { PartitionKey::Namespace(partition.parse().unwrap()) }
}

/// Writes a file and the folders around it.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn the_layout_says_whose_a_file_is() {
    let config = Config::with(|path| {
        write(&path.join("plans.yml"), "plans");
        write(&path.join("tenants/acme.yaml"), "acme");
        write(&path.join("tenants/deeper/not-read.yaml"), "no");
        write(&path.join("other/not-read.yaml"), "no");
        write(&path.join("README.md"), "no");
        write(&path.join("namespaces/tenant-acme/contract.yaml"), "contract");
        write(&path.join("namespaces/tenant-acme/more/below/subscriptions.yml"), "subscriptions");
        write(&path.join("namespaces/tenant-acme/notes.txt"), "no");
        write(&path.join("namespaces/tenant-acme/.hidden.yaml"), "no");
        fs::create_dir_all(path.join("namespaces/tenant-globex")).unwrap();
    });
    let operator: Vec<_> = config.texts("").into_keys().collect();
    assert_eq!(operator, ["plans.yml", "platform.yaml", "tenants/acme.yaml"]);
    let acme: Vec<_> = config.texts("tenant-acme").into_iter().collect();
    let expected = [
        ("namespaces/tenant-acme/contract.yaml".to_owned(), "contract".to_owned()),
        ("namespaces/tenant-acme/more/below/subscriptions.yml".to_owned(), "subscriptions".to_owned()),
    ];
    assert_eq!(acme, expected);
    assert_eq!(config.content("tenant-globex"), Some(&Content::NOTHING), "an empty partition exists");
    assert_eq!(config.told.len(), 3);
    assert!(config.source_faults().is_empty());
}

#[test]
fn a_folder_whose_name_is_no_namespace_is_a_fault_of_its_own() {
    let config = Config::with(|path| {
        write(&path.join("namespaces/Tenant_Acme/contract.yaml"), "secret");
        write(&path.join("namespaces/stray.yaml"), "stray");
        write(&path.join("namespaces/tenant-globex/contract.yaml"), "globex");
    });
    assert_eq!(config.texts("tenant-globex").len(), 1);
    let faults = config.source_faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].starts_with("namespaces/Tenant_Acme:0:0: -: cannot be a partition: a namespace must be lower-case"), "{faults:?}");
    assert!(faults[1].starts_with("namespaces/stray.yaml:0:0: -: is in no partition"), "{faults:?}");
}

#[test]
fn yaml_in_a_folder_that_is_not_read_is_a_warning_that_names_it() {
    let config = Config::with(|path| {
        write(&path.join("plans/standard.yaml"), "kind: Plan");
        write(&path.join("tenants/eu/acme.yml"), "kind: Tenant");
        write(&path.join("tenants/globex.YAML"), "kind: Tenant");
        write(&path.join("docs/readme.md"), "nothing of ours");
        write(&path.join("namespaces/tenant-acme/contract.Yml"), "kind: UniversalAPIContract");
    });
    let faults = config.faults("");
    let said = |file: &str| faults.iter().any(|fault| fault.starts_with(&format!("{file}:0:0: -: is not read")));
    assert!(said("plans/standard.yaml") && said("tenants/eu/acme.yml") && said("tenants/globex.YAML"), "{faults:#?}");
    assert_eq!(faults.len(), 3, "{faults:#?}");
    assert_eq!(config.texts("").keys().collect::<Vec<_>>(), ["platform.yaml"]);
    let own = config.faults("tenant-acme");
    assert!(own.len() == 1 && own[0].starts_with("namespaces/tenant-acme/contract.Yml:0:0: -: is not read"), "{own:#?}");
    let Some(Content::Files { faults, .. }) = config.content("") else { panic!("not read") };
    assert!(faults.iter().all(|fault| fault.severity == bulkhead_tenancy::fault::Severity::Warning), "nothing is lost by it");
}
