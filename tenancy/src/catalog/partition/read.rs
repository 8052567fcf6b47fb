//! Reading a partition: its files, joined into a draft.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    catalog::traces::Found,
    fault::{Fault, Severity},
    judge::{
        bound::{ENOUGH_FAULTS, enough, is_enough},
        contract::{Documents, beside},
        draft::Draft,
        unread::Unread,
    },
    name::Namespace,
    openapi,
    resource::{self, Resource},
    source::SourceFile,
    yaml::{Bounds, Spent},
};

/// Reads a partition. `faults` are those that its source found; an error anywhere leaves no draft, but what was
/// found is known.
pub(super) fn read(namespace: &Namespace, files: &[SourceFile], mut faults: Vec<Fault>) -> (Option<Draft>, Found, Vec<Fault>) {
    let mut found = Found::default();
    let is_error = |fault: &&Fault| fault.severity == Severity::Error;
    faults.iter().filter(is_error).for_each(|fault| found.broken(&fault.file));
    let yaml = files.iter().filter(|file| !is_json(&file.path));
    let mut spent = Spent::default();
    let parsed: Vec<_> = yaml.map(|file| (file, resource::read_sharing(&file.path, &file.text, Bounds::PARTITION, &mut spent))).collect();
    let mut of_documents = Vec::new();
    let refused: BTreeSet<_> = faults.iter().filter(is_error).map(|fault| Arc::clone(&fault.file)).collect();
    let (named, documents) = documents(files, &refused, parsed.iter().flat_map(|(_, (resources, _))| resources), &mut of_documents);
    let mut resources = Vec::new();
    for (file, (read, wrong)) in parsed {
        // An OpenAPI document beside a contract is no resource, and is not judged as one.
        let is_document = named.contains(&file.path);
        found.file(&file.path, if is_document { &[] } else { &read });
        if !is_document {
            if wrong.iter().any(|fault| is_error(&fault)) {
                found.broken(&file.path);
            }
            resources.extend(read);
            faults.extend(wrong);
        }
    }
    // An OpenAPI document holds no resource: what is missing is not in it.
    let unread = Unread::of(faults.iter().filter(|fault| !is_json(&fault.file)));
    faults.extend(of_documents);
    let elsewhere = resources.iter().filter_map(|resource| resource.namespace().filter(|stated| stated.value != *namespace));
    let elsewhere = elsewhere.map(|stated| stated.fault(format!("must be {namespace}, the namespace that this file lies in")));
    // Hostile text may hold millions: of each kind enough are said.
    faults.extend(elsewhere.take(ENOUGH_FAULTS));
    faults.extend(repeated(&resources).take(ENOUGH_FAULTS));
    let draft = Draft::of(resources, &documents, &unread, &mut faults);
    enough(&mut faults);
    faults.sort_by(|one, two| (&one.file, one.line, one.column).cmp(&(&two.file, two.line, two.column)));
    (draft, found, faults)
}

/// The files that contracts name as their OpenAPI documents and that look like one, and what could be read of them. Each is read once,
/// however many APIs name it.
fn documents<'r>(
    files: &[SourceFile],
    refused: &BTreeSet<Arc<str>>,
    resources: impl Iterator<Item = &'r Resource>,
    faults: &mut Vec<Fault>,
) -> (BTreeSet<Arc<str>>, Documents) {
    let texts: BTreeMap<&str, &SourceFile> = files.iter().map(|file| (&*file.path, file)).collect();
    let (mut named, mut read, mut spent) = (BTreeSet::new(), Documents::new(), Spent::default());
    for resource in resources {
        let Resource::Contract(contract) = resource else { continue };
        for name in contract.apis.iter().filter_map(|api| api.openapi.as_ref()) {
            if is_enough(&name.place, faults) {
                return (named, read);
            }
            let Some(file) = texts.get(beside(name).as_str()) else {
                let refused = refused.contains(beside(name).as_str());
                faults.push(name.fault(if refused { "is a file that cannot be read" } else { "no such file beside this one" }));
                continue;
            };
            if !is_json(&file.path) && !is_openapi(&file.text) {
                faults.push(name.fault("is not an OpenAPI document: it has no field `openapi` or `swagger`"));
            } else if named.insert(Arc::clone(&file.path))
                && let Some(document) = openapi::read(&file.path, &file.text, &mut spent, faults)
            {
                read.insert(Arc::clone(&file.path), Arc::new(document));
            }
        }
    }
    (named, read)
}

/// Whether a file is JSON: nothing but an OpenAPI document is.
fn is_json(path: &str) -> bool {
    path.ends_with(".json")
}

/// Whether a text is one document with an `openapi` or `swagger` field at its top, which no resource has. A file of several documents is
/// judged as resources: a policy must not vanish because it shares a file with an OpenAPI document.
fn is_openapi(text: &str) -> bool {
    let mut content = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with(['#', '%'])).peekable();
    content.next_if(|line| line.starts_with("---"));
    let mut found = false;
    for line in content {
        if line.starts_with("---") || line.starts_with("...") {
            return false;
        }
        found |= ["openapi:", "swagger:"].iter().any(|key| line.starts_with(key));
    }
    found
}

/// Two resources of one kind and name: which of them is meant cannot be known.
fn repeated(resources: &[Resource]) -> impl Iterator<Item = Fault> {
    let mut seen = BTreeSet::new();
    let again = resources.iter().filter(move |resource| !seen.insert((resource.kind(), resource.name())));
    again.map(|resource| resource.place().fault("another resource of this kind has this name"))
}
