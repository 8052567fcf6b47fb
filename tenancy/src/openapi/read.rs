//! Reading a document: OpenAPI 3 and Swagger 2, YAML and JSON.

use std::{collections::BTreeSet, sync::Arc};

use super::{Methods, OpenApi, Segment, Template, decoded};
use crate::{
    fault::{Fault, Severity},
    judge::bound::is_enough,
    place::Place,
    tree::{Entry, Node, Scalar, Value},
    yaml::{self, Bounds, Spent},
};

/// The most paths of a document.
pub const MAX_PATHS: usize = 2_000;
/// The longest path, in bytes.
const MAX_PATH_BYTES: usize = 1_024;
/// The longest reference, in bytes.
const MAX_POINTER_BYTES: usize = 4_096;
/// The most keys that are looked at, again for each reference that leads to them.
const MAX_LOOKED: usize = 4_000_000;
/// How many references may lead from one to the next.
const MAX_REFERENCES: usize = 8;
/// The fields that say what version of OpenAPI a document is of.
pub(crate) const VERSIONS: [&str; 2] = ["openapi", "swagger"];
/// The fields that every resource has, and no document.
pub(crate) const RESOURCES: [&str; 2] = ["kind", "apiVersion"];
/// The fields of a path item that are methods (OpenAPI 3.2 adds `query`).
const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// Reads a document, one of several that share bounds. Faults are added to `faults`; an error leaves no document.
pub fn read(file: &Arc<str>, text: &str, spent: &mut Spent, faults: &mut Vec<Fault>) -> Option<OpenApi> {
    // JSON may be indented by tabs, and holds none elsewhere; YAML must not.
    let spaced = if file.ends_with(".json") { text.replace('\t', " ") } else { text.to_owned() };
    let (documents, wrong) = yaml::documents_sharing(file, &spaced, Bounds::PARTITION, spent);
    let broken = wrong.iter().any(|fault| fault.severity == Severity::Error);
    faults.extend(wrong);
    if broken {
        return None;
    }
    let [document] = documents.as_slice() else {
        faults.push(Place::file(file).fault("must hold one OpenAPI document"));
        return None;
    };
    of(file, document, faults)
}

/// What a document says that was read as YAML or JSON. Faults are added to `faults`; an error leaves no document.
pub fn of(file: &Arc<str>, root: &Node, faults: &mut Vec<Fault>) -> Option<OpenApi> {
    let before = faults.len();
    let read = Document { root, faults: &mut *faults, looked: 0 }.read(&Place::file(file));
    (faults.len() == before).then(|| read.digested())
}

/// Where a tree says that it is an OpenAPI document, of whatever version. What says that it is a resource is none: it must not vanish.
#[must_use]
pub(crate) fn said(root: &Node) -> Option<&Entry> {
    let Value::Mapping(entries) = &root.value else { return None };
    let resource = entries.iter().any(|entry| RESOURCES.contains(&&*entry.key));
    entries.iter().find(|entry| !resource && VERSIONS.contains(&&*entry.key))
}

struct Document<'a, 'f> {
    root: &'a Node,
    faults: &'f mut Vec<Fault>,
    /// How many keys were looked at.
    looked: usize,
}

impl<'a> Document<'a, '_> {
    fn read(mut self, place: &Place) -> OpenApi {
        let mut read = OpenApi::default();
        let mut version = |name, least: &str| self.field(self.root, name, place).is_some_and(|node| is_version(node, least));
        let versions = [version("openapi", "3."), version("swagger", "2.")];
        if !versions.contains(&true) {
            self.faults.push(place.clone().at(1, 1).fault("must say `openapi: 3...` or `swagger: \"2.0\"`"));
        }
        if let Value::Mapping(entries) = &self.root.value {
            for entry in entries.iter().filter(|entry| RESOURCES.contains(&&*entry.key)).take(1) {
                self.faults
                    .push(place.key(&entry.key).at(entry.line, entry.column).fault("is a resource's field: an OpenAPI document has none"));
            }
        }
        let Some(paths) = self.field(self.root, "paths", place) else {
            self.faults.push(place.clone().at(1, 1).fault("has no `paths`: nothing would be reachable"));
            return read;
        };
        let here = place.field("paths");
        let Value::Mapping(entries) = &paths.value else {
            self.faults.push(here.at(paths.line, paths.column).fault("must be a mapping"));
            return read;
        };
        if entries.len() > MAX_PATHS {
            self.faults.push(here.at(paths.line, paths.column).fault(format!("has more than {MAX_PATHS} paths")));
            return read;
        }
        let mut seen = BTreeSet::new();
        for entry in entries.iter().filter(|entry| !entry.key.starts_with("x-")) {
            let place = here.key(&entry.key).at(entry.line, entry.column);
            if self.looked > MAX_LOOKED || is_enough(&place, self.faults) {
                break;
            }
            if let Some(path) = self.path(entry, &place, &mut seen) {
                let methods = self.methods(&entry.node, &place);
                add(&mut read, path, methods);
            }
        }
        let ranks = |template: &Template| template.segments.iter().map(Segment::rank).collect::<Vec<_>>();
        read.templates.values_mut().for_each(|templates| templates.sort_by_cached_key(ranks));
        read
    }

    /// The segments of a path that no other is.
    fn path(&mut self, entry: &Entry, place: &Place, seen: &mut BTreeSet<Vec<Segment>>) -> Option<Vec<Segment>> {
        let segments = match parse(&entry.key) {
            Ok(segments) => segments,
            Err(why) => {
                self.faults.push(place.fault(why));
                return None;
            }
        };
        if !seen.insert(segments.clone()) {
            self.faults.push(place.fault("is there twice, but for the names of its parameters"));
            return None;
        }
        Some(segments)
    }

    fn methods(&mut self, item: &'a Node, place: &Place) -> Methods {
        let Some(item) = self.resolved(item, place) else { return Methods::new() };
        let Value::Mapping(entries) = &item.value else {
            self.faults.push(place.fault("must be a mapping"));
            return Methods::new();
        };
        self.look(entries, place);
        let mut methods = Methods::new();
        for entry in entries.iter().filter(|entry| METHODS.contains(&&*entry.key)) {
            let again = !methods.insert(entry.key.to_ascii_uppercase());
            let place = place.key(&entry.key).at(entry.line, entry.column);
            if again {
                self.faults.push(place.fault("is there twice"));
            }
            if is_enough(&place, self.faults) {
                break;
            }
        }
        methods
    }

    /// A path item, or the one of this document that it refers to.
    fn resolved(&mut self, mut item: &'a Node, place: &Place) -> Option<&'a Node> {
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = self.field(item, "$ref", place) else { return Some(item) };
            let here = place.field("$ref").at(reference.line, reference.column);
            let Value::Scalar(Scalar::Text(pointer)) = &reference.value else {
                self.faults.push(here.fault("must be text"));
                return None;
            };
            let Some(pointer) = pointer.strip_prefix('#') else {
                self.faults.push(here.fault("refers out of the document: nothing is fetched, and no other file is read"));
                return None;
            };
            if pointer.len() > MAX_POINTER_BYTES {
                self.faults.push(here.fault(format!("has more than {MAX_POINTER_BYTES} bytes")));
                return None;
            }
            let Some(target) = self.pointed(pointer, &here) else {
                self.faults.push(here.fault("refers to what is not in the document"));
                return None;
            };
            item = target;
        }
        self.faults.push(place.fault("is a reference to a reference, and so on"));
        None
    }

    /// What a JSON pointer (RFC 6901) in a fragment points at.
    fn pointed(&mut self, pointer: &str, place: &Place) -> Option<&'a Node> {
        let mut node = self.root;
        for token in pointer.strip_prefix('/')?.split('/') {
            node = self.field(node, &decoded(token).replace("~1", "/").replace("~0", "~"), place)?;
        }
        Some(node)
    }

    /// A field of a mapping that stands at `place`. One that is there twice is an error where it is again: parsers differ in which of them they take.
    fn field(&mut self, node: &'a Node, name: &str, place: &Place) -> Option<&'a Node> {
        let Value::Mapping(entries) = &node.value else { return None };
        self.look(entries, place);
        let mut named = entries.iter().filter(|entry| &*entry.key == name);
        let first = named.next()?;
        if let Some(again) = named.next() {
            self.faults.push(place.key(name).at(again.line, again.column).fault("is there twice"));
        }
        Some(&first.node)
    }

    /// Counts what is looked at: a reference costs a line, and may lead into a large mapping (S16).
    fn look(&mut self, entries: &[Entry], place: &Place) {
        if self.looked <= MAX_LOOKED && self.looked + entries.len() > MAX_LOOKED {
            self.faults.push(place.fault("and what follows refers to too much: what its references lead to has too many fields"));
        }
        self.looked = self.looked.saturating_add(entries.len());
    }
}

fn add(read: &mut OpenApi, segments: Vec<Segment>, methods: Methods) {
    let literal = |segment: &Segment| match segment {
        Segment::Literal(text) => Some(text.clone()),
        Segment::Around(_) => None,
    };
    match segments.iter().map(literal).collect::<Option<Vec<_>>>() {
        Some(path) => drop(read.concrete.insert(path, methods)),
        None => read.templates.entry(segments.len()).or_default().push(Template { segments, methods }),
    }
}

/// `3.1.0`; also without quotes, which makes a number of it.
fn is_version(node: &Node, least: &str) -> bool {
    match &node.value {
        Value::Scalar(Scalar::Text(text)) => text.starts_with(least),
        Value::Scalar(Scalar::Float(number)) => format!("{number:?}").starts_with(least),
        _ => false,
    }
}

/// The segments of a path as a document writes it.
fn parse(path: &str) -> Result<Vec<Segment>, &'static str> {
    if path.len() > MAX_PATH_BYTES {
        return Err("is too long a path");
    }
    let inner = path.strip_prefix('/').ok_or("must begin with a slash")?;
    if inner.contains(['?', '#']) {
        return Err("must be a path alone, without query");
    }
    inner.split('/').map(segment).collect()
}

fn segment(text: &str) -> Result<Segment, &'static str> {
    let mut texts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("has a `{` without its `}`")?;
        if name.is_empty() || name.contains('{') || before.contains('}') {
            return Err("has a parameter without a name, or braces that do not fit");
        }
        if !texts.is_empty() && before.is_empty() {
            return Err("has two parameters with nothing between them");
        }
        texts.push(decoded(before));
        rest = after;
    }
    if rest.contains('}') {
        return Err("has a `}` without its `{`");
    }
    if texts.is_empty() {
        return Ok(Segment::Literal(decoded(text)));
    }
    texts.push(decoded(rest));
    Ok(Segment::Around(texts))
}
