//! What a partition's files hold: resources, or what contracts name beside themselves, OpenAPI documents.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    fault::{Fault, Severity},
    judge::{
        bound::is_enough,
        contract::{Documents, beside},
    },
    openapi,
    place::Place,
    resource::{self, Resource},
    source::SourceFile,
    tree::Node,
    yaml::{self, Bounds, Spent},
};

/// What a YAML file holds.
pub(super) enum Held {
    /// Resources: whatever does not say that it is an OpenAPI document, and that alone.
    Resources(Vec<Resource>),
    /// An OpenAPI document, not judged yet.
    Document(Node),
    /// What looks like one, and is no YAML.
    BrokenDocument,
}

impl Held {
    /// Reads a file, once, with what is wrong with it. A policy must not vanish because it shares a file with an OpenAPI document: a file of several
    /// documents, or of one that also has what every resource has, is judged as resources.
    pub(super) fn of(file: &SourceFile, spent: &mut Spent) -> (Self, Vec<Fault>) {
        let (mut documents, wrong) = yaml::documents_sharing(&file.path, &file.text, Bounds::PARTITION, spent);
        if documents.is_empty() && !wrong.is_empty() && looks_like_a_document(&file.text) {
            return (Self::BrokenDocument, wrong);
        }
        if wrong.is_empty() && documents.len() == 1 && documents.iter().all(|tree| openapi::said(tree).is_some()) {
            return (Self::Document(documents.remove(0)), wrong);
        }
        let (read, wrong) = resource::read_documents(&file.path, &file.text, &documents, wrong, Bounds::PARTITION, spent);
        (Self::Resources(read), wrong)
    }
}

/// The OpenAPI documents of a partition that are YAML.
#[derive(Default)]
pub(super) struct Beside {
    /// By file, as they were read.
    pub(super) documents: BTreeMap<Arc<str>, Node>,
    /// Those that could not be, and why.
    pub(super) broken: BTreeMap<Arc<str>, Vec<Fault>>,
}

/// The files that contracts name, and what could be read of them.
#[derive(Default)]
pub(super) struct Named {
    pub(super) files: BTreeSet<Arc<str>>,
    pub(super) read: Documents,
}

impl Beside {
    /// Judges what contracts name, each once, however many APIs name it. `elsewhere` is what is wrong with other files.
    pub(super) fn named(
        &self,
        files: &[SourceFile],
        elsewhere: &[Fault],
        resources: &[Resource],
        spent: &mut Spent,
        faults: &mut Vec<Fault>,
    ) -> Named {
        let texts: BTreeMap<&str, &SourceFile> = files.iter().map(|file| (&*file.path, file)).collect();
        let refused: BTreeSet<&str> =
            elsewhere.iter().filter(|fault| fault.severity == Severity::Error).map(|fault| &*fault.file).collect();
        let mut named = Named::default();
        let contracts = resources.iter().filter_map(|resource| match resource {
            Resource::Contract(contract) => Some(contract),
            _ => None,
        });
        for name in contracts.flat_map(|contract| &contract.apis).filter_map(|api| api.openapi.as_ref()) {
            if is_enough(&name.place, faults) {
                break;
            }
            let path = beside(name);
            let Some(file) = texts.get(path.as_str()) else {
                let refused = refused.contains(path.as_str());
                faults.push(name.fault(if refused { "is a file that cannot be read" } else { "no such file beside this one" }));
                continue;
            };
            let read = if named.files.contains(&file.path) {
                continue;
            } else if is_json(&file.path) {
                openapi::read(&file.path, &file.text, spent, faults)
            } else if let Some(tree) = self.documents.get(&file.path) {
                openapi::of(&file.path, tree, faults)
            } else if self.broken.contains_key(&file.path) {
                None
            } else {
                faults.push(name.fault("is not an OpenAPI document: that has a field `openapi` or `swagger`, and no resource's"));
                continue;
            };
            named.files.insert(Arc::clone(&file.path));
            named.read.extend(read.map(|document| (Arc::clone(&file.path), Arc::new(document))));
        }
        named
    }

    /// What to say of documents that no contract names.
    pub(super) fn nobodys<'a>(&'a self, named: &'a BTreeSet<Arc<str>>) -> impl Iterator<Item = Fault> + 'a {
        self.documents.iter().filter(|(file, _)| !named.contains(*file)).map(|(file, tree)| {
            let place = Place::file(file);
            let place = openapi::said(tree).map_or_else(|| place.clone(), |said| place.key(&said.key).at(said.line, said.column));
            place.fault("is an OpenAPI document that no contract beside it names, and no resource")
        })
    }
}

/// Whether a file is JSON: nothing but an OpenAPI document is.
pub(super) fn is_json(path: &str) -> bool {
    path.ends_with(".json")
}

/// Whether a text that is no YAML would be an OpenAPI document, as far as can be seen: one document with its field at the top, and no resource's.
fn looks_like_a_document(text: &str) -> bool {
    let mut content = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with(['#', '%'])).peekable();
    content.next_if(|line| line.starts_with("---"));
    let mut found = false;
    for line in content {
        let key = line.split(':').next().unwrap_or_default().trim_matches(['"', '\'']);
        if line.starts_with("---") || line.starts_with("...") || openapi::RESOURCES.contains(&key) {
            return false;
        }
        found |= openapi::VERSIONS.contains(&key);
    }
    found
}
