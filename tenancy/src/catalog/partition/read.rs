//! Reading a partition: its files, joined into a draft.

use std::{collections::BTreeSet, sync::Arc};

use super::beside::{Beside, Held, is_json};
use crate::{
    catalog::traces::Found,
    fault::{Fault, Severity},
    judge::{
        bound::{ENOUGH_FAULTS, enough},
        draft::Draft,
        unread::Unread,
    },
    name::Namespace,
    resource::Resource,
    source::SourceFile,
    yaml::Spent,
};

/// Reads a partition. `faults` are those that its source found; an error anywhere leaves no draft, but what was
/// found is known.
pub(super) fn read(namespace: &Namespace, files: &[SourceFile], mut faults: Vec<Fault>) -> (Option<Draft>, Found, Vec<Fault>) {
    let mut found = Found::default();
    faults.iter().filter(is_error).for_each(|fault| found.broken(&fault.file));
    // One budget for all files, whatever they hold.
    let mut spent = Spent::default();
    let yaml = files.iter().filter(|file| !is_json(&file.path));
    let (mut resources, mut beside) = (Vec::new(), Beside::default());
    for file in yaml {
        let (held, wrong) = Held::of(file, &mut spent);
        match held {
            Held::Document(tree) => {
                found.file(&file.path, &[]);
                beside.documents.insert(Arc::clone(&file.path), tree);
            }
            Held::BrokenDocument => drop(beside.broken.insert(Arc::clone(&file.path), wrong)),
            Held::Resources(read) => {
                found.file(&file.path, &read);
                if wrong.iter().any(|fault| is_error(&fault)) {
                    found.broken(&file.path);
                }
                resources.extend(read);
                faults.extend(wrong);
            }
        }
    }
    let mut of_documents = Vec::new();
    let named = beside.named(files, &faults, &resources, &mut spent, &mut of_documents);
    for (file, wrong) in std::mem::take(&mut beside.broken) {
        found.file(&file, &[]);
        if named.files.contains(&file) {
            of_documents.extend(wrong);
        } else {
            found.broken(&file);
            faults.extend(wrong);
        }
    }
    // An OpenAPI document holds no resource: what is missing is not in it.
    let unread = Unread::of(faults.iter().filter(|fault| !is_json(&fault.file)));
    // A contract that was not read may name them.
    if !faults.iter().chain(&of_documents).any(|fault| is_error(&fault)) {
        of_documents.extend(beside.nobodys(&named.files).take(ENOUGH_FAULTS));
    }
    faults.extend(of_documents);
    let elsewhere = resources.iter().filter_map(|resource| resource.namespace().filter(|stated| stated.value != *namespace));
    let elsewhere = elsewhere.map(|stated| stated.fault(format!("must be {namespace}, the namespace that this file lies in")));
    // Hostile text may hold millions: of each kind enough are said.
    faults.extend(elsewhere.take(ENOUGH_FAULTS));
    faults.extend(repeated(&resources).take(ENOUGH_FAULTS));
    let draft = Draft::of(resources, &named.read, &unread, &mut faults);
    enough(&mut faults);
    faults.sort_by(|one, two| (&one.file, one.line, one.column).cmp(&(&two.file, two.line, two.column)));
    (draft, found, faults)
}

fn is_error(fault: &&Fault) -> bool {
    fault.severity == Severity::Error
}

/// Two resources of one kind and name: which of them is meant cannot be known.
fn repeated(resources: &[Resource]) -> impl Iterator<Item = Fault> {
    let mut seen = BTreeSet::new();
    let again = resources.iter().filter(move |resource| !seen.insert((resource.kind(), resource.name())));
    again.map(|resource| resource.place().fault("another resource of this kind has this name"))
}
