//! Where the partitions are: the configuration folder and `namespaces` in it, held open while they are read.

use std::{
    collections::{BTreeSet, HashSet},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::FileType;

use super::{
    folder::{Folder, Refusal},
    partition::{Shape, fault},
    watch::{Place, Watch},
};
use crate::{fault::Fault, name::Namespace};

/// How many partitions there may be.
const MOST: usize = 1_000_000;
/// How many symbolic links the way to the configuration folder may have (Linux's own bound).
const LINKS: usize = 40;

/// The folders that partitions are found in.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) root: Folder,
    /// None where there is none; the fault where it is no folder that may be read.
    namespaces: Result<Option<Folder>, Fault>,
    identity: Identity,
}

/// Which folders these are: another one under the same path has another identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    root: (u64, u64),
    namespaces: Option<(u64, u64)>,
}

impl Layout {
    pub(super) fn open(path: &Path) -> Result<Self, Refusal> {
        let root = Folder::at(path)?;
        let namespaces = match root.folder(Path::new("namespaces")) {
            Ok(folder) => Ok(Some(folder)),
            Err(Refusal::Missing) => Ok(None),
            Err(refusal) => Err(Shape::operator().refused(Path::new("namespaces"), refusal)),
        };
        let of_namespaces = namespaces.iter().flatten().next().map(Folder::identity).transpose()?;
        let identity = Identity { root: root.identity()?, namespaces: of_namespaces };
        Ok(Self { root, namespaces, identity })
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether the same folders are found under the path now.
    pub(super) fn is_current(&self, path: &Path) -> bool {
        let now = |path: &Path| std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        now(path) == Some(self.identity.root) && (self.namespaces.is_err() || now(&path.join("namespaces")) == self.identity.namespaces)
    }

    /// Hears of partitions that come and go, and of the folders themselves being replaced. The files are watched where they are listed.
    pub(super) fn watch(&self, path: &Path, watch: &mut Watch) {
        for (folder, name) in way(path) {
            if let Ok(folder) = Folder::at(&folder) {
                watch.add(folder.handle(), Place::Way(name));
            }
        }
        watch.add(self.root.handle(), Place::Root);
        if let Ok(Some(namespaces)) = &self.namespaces {
            watch.add(namespaces.handle(), Place::Namespaces);
        }
    }

    /// The names of all partitions, and what stands among them and cannot be one.
    pub(super) fn partitions(&self) -> Result<(BTreeSet<Namespace>, Vec<Fault>), Fault> {
        let Some(folder) = self.namespaces.as_ref().map_err(Fault::clone)? else { return Ok((BTreeSet::new(), Vec::new())) };
        let shape = Shape::operator();
        let (names, more) = folder.names(MOST).map_err(|refusal| shape.refused(Path::new("namespaces"), refusal))?;
        let mut faults = Vec::new();
        if more {
            faults.push(fault("namespaces", format!("holds more than {MOST} partitions")));
        }
        let mut partitions = BTreeSet::new();
        for name in names {
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let text = name.to_string_lossy();
            match text.parse() {
                Ok(namespace) => _ = partitions.insert(namespace),
                Err(error) => {
                    let stat = folder.stat(Path::new(&name)).ok();
                    if stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()) {
                        faults.push(fault(format!("namespaces/{text}"), format!("cannot be a partition: a namespace {error}")));
                    } else if text.ends_with(".yaml") || text.ends_with(".yml") {
                        faults.push(fault(format!("namespaces/{text}"), "is in no partition: it belongs into the folder of a namespace"));
                    }
                }
            }
        }
        Ok((partitions, faults))
    }

    /// Opens a partition. A partition is a folder, or a mount; never a symbolic link, which could make one tenant's partition another's.
    pub(super) fn partition(&self, namespace: &Namespace) -> Result<Folder, Refusal> {
        match &self.namespaces {
            Ok(Some(folder)) => folder.own_folder(namespace.as_str()),
            Ok(None) => Err(Refusal::Missing),
            Err(_) => Err(Refusal::Forbidden("cannot be reached: namespaces cannot be read")),
        }
    }
}

/// The folders, and the names in them, whose replacement would lead the path elsewhere: its last name, and every symbolic link on the way.
fn way(path: &Path) -> Vec<(PathBuf, std::ffi::OsString)> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut paths = vec![path.to_owned()];
    while let Some(path) = paths.pop() {
        let last = path.clone();
        for step in path.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let (Some(folder), Some(name)) = (step.parent(), step.file_name()) else { continue };
            let target = std::fs::read_link(step).ok();
            if (target.is_none() && step != last) || !seen.insert(step.to_owned()) {
                continue;
            }
            found.push((folder.to_owned(), name.to_owned()));
            if let Some(target) = target
                && seen.len() < LINKS
            {
                paths.push(folder.join(target));
            }
        }
    }
    found
}
