//! The fields of one mapping, as a schema asks for them.

use std::collections::BTreeSet;

use super::{Faults, Reader, did_you_mean};
use crate::{place::Place, tree::Entry};

/// The fields of a mapping. Each name that is asked for is known from then on; what is left at the end is refused.
pub struct Fields<'a> {
    entries: &'a [Entry],
    place: Place,
    faults: &'a mut Faults,
    noun: &'static str,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(entries: &'a [Entry], place: Place, faults: &'a mut Faults, noun: &'static str) -> Self {
        let mut seen = BTreeSet::new();
        for entry in entries.iter().filter(|entry| !seen.insert(&entry.key)) {
            faults.push(place.key(&entry.key).at(entry.line, entry.column).fault("is there twice"));
        }
        Self { entries, place, faults, noun, known: Vec::new() }
    }

    /// Where the mapping stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Complains about the mapping as a whole.
    pub fn refuse<T>(&mut self, message: impl Into<String>) -> Option<T> {
        self.faults.push(self.place.fault(message));
        None
    }

    /// How many fields are written.
    #[must_use]
    pub fn written(&self) -> usize {
        self.entries.len()
    }

    /// A field that must be there.
    pub fn required<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        if self.has(name) {
            return self.optional(name, read);
        }
        self.known.push(name);
        self.faults.push(self.place.field(name).fault("is missing"));
        None
    }

    /// A field that may be there.
    pub fn optional<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        self.known.push(name);
        let entry = self.entries.iter().find(|entry| &*entry.key == name)?;
        read(&mut Reader::new(&entry.node, self.place.field(name), self.faults))
    }

    /// Fields that may be there and are not read.
    pub fn ignore(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// Whether a field is written.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| &*entry.key == name)
    }

    pub(super) fn finish(self) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&&*entry.key)) {
            let hint = if self.faults.is_full() { String::new() } else { did_you_mean(&entry.key, self.known.iter().copied()) };
            let fault = self.place.key(&entry.key).at(entry.line, entry.column).fault(format!("is not a {} here{hint}", self.noun));
            self.faults.push(fault);
        }
    }
}
