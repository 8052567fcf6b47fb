//! Reading a partition: its files, joined into a draft.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    catalog::traces::Found,
    fault::{Fault, Severity},
    judge::{bound::enough, draft::Draft},
    name::Namespace,
    place::At,
    resource::{self, Resource},
    source::SourceFile,
};

/// Reads a partition. `faults` are those that its source found; an error anywhere leaves no draft, but what was
/// found is known.
pub(super) fn read(namespace: &Namespace, files: &[SourceFile], mut faults: Vec<Fault>) -> (Option<Draft>, Found, Vec<Fault>) {
    let mut found = Found::default();
    let is_error = |fault: &&Fault| fault.severity == Severity::Error;
    faults.iter().filter(is_error).for_each(|fault| found.broken(&fault.file));
    let parsed: Vec<_> = files.iter().map(|file| (file, resource::read(&file.path, &file.text))).collect();
    let documents = documents(files, parsed.iter().flat_map(|(_, (resources, _))| resources), &mut faults);
    let mut resources = Vec::new();
    for (file, (read, wrong)) in parsed {
        // An OpenAPI document beside a contract is no resource, and is not judged as one.
        let is_document = documents.contains(&*file.path);
        found.file(&file.path, if is_document { &[] } else { &read });
        if !is_document {
            if wrong.iter().any(|fault| is_error(&fault)) {
                found.broken(&file.path);
            }
            resources.extend(read);
            faults.extend(wrong);
        }
    }
    for resource in &resources {
        if let Some(stated) = resource.namespace().filter(|stated| stated.value != *namespace) {
            faults.push(stated.fault(format!("must be {namespace}, the namespace that this file lies in")));
        }
    }
    repeated(&resources, &mut faults);
    let draft = Draft::of(resources, &mut faults);
    enough(&mut faults);
    faults.sort_by(|one, two| (&one.file, one.line, one.column).cmp(&(&two.file, two.line, two.column)));
    (draft, found, faults)
}

/// The files that contracts name as their OpenAPI documents, and that look like one.
fn documents<'a, 'r>(files: &'a [SourceFile], resources: impl Iterator<Item = &'r Resource>, faults: &mut Vec<Fault>) -> BTreeSet<&'a str> {
    let texts: BTreeMap<&str, &str> = files.iter().map(|file| (&*file.path, file.text.as_str())).collect();
    // Each text is looked at once, however many APIs name it.
    let mut looked: BTreeMap<&str, bool> = BTreeMap::new();
    for resource in resources {
        let Resource::Contract(contract) = resource else { continue };
        for openapi in contract.apis.iter().filter_map(|api| api.openapi.as_ref()) {
            let found = beside(openapi, &texts);
            match found.map(|(path, text)| *looked.entry(path).or_insert_with(|| is_openapi(text))) {
                Some(true) => {}
                Some(false) => faults.push(openapi.fault("is not an OpenAPI document: it has no field `openapi` or `swagger`")),
                // A source reads YAML only: whether a document in JSON is there is not known here.
                None if openapi.ends_with(".json") => {}
                None => faults.push(openapi.fault("no such file beside this one")),
            }
        }
    }
    looked.into_iter().filter(|(_, is_document)| *is_document).map(|(path, _)| path).collect()
}

/// The file of that name beside the one that names it.
fn beside<'a>(name: &At<String>, texts: &BTreeMap<&'a str, &'a str>) -> Option<(&'a str, &'a str)> {
    let from = name.fault("").file;
    let path = match from.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/{}", name.value),
        None => name.value.clone(),
    };
    texts.get_key_value(path.as_str()).map(|(path, text)| (*path, *text))
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
fn repeated(resources: &[Resource], faults: &mut Vec<Fault>) {
    let mut seen = BTreeSet::new();
    for resource in resources {
        if !seen.insert((resource.kind(), resource.name())) {
            faults.push(resource.place().fault("another resource of this kind has this name"));
        }
    }
}
