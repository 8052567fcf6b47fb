//! Which things of a partition are still there, as far as can be known: what tells a deletion from a read error (S10).
//!
//! A thing that was not read is still there if its file is there and holds an error, or if a file holds an error that appeared only after
//! the thing was read last: it may have been moved there. Else it was deleted, and is gone until it is read again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    catalog::slot::Uncertain,
    name::{ApiName, SubscriptionName, ToolName, ToolSetName},
    resource::Resource,
    subscription::Subscription,
};

/// A thing that grants something. A contract is its APIs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    Api(ApiName),
    Subscription(SubscriptionName),
    Tool(ToolName),
    ToolSet(ToolSetName),
}

/// What one reading of a partition found, with errors or without.
#[derive(Debug, Default)]
pub(crate) struct Found {
    things: BTreeMap<Thing, Trace>,
    files: Vec<Arc<str>>,
    /// Files and folders with an error: what they say is not known.
    broken: Vec<Arc<str>>,
}

/// What all readings of a partition come to.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    things: BTreeMap<Thing, Trace>,
    /// In which reading each file appeared.
    files: HashMap<Arc<str>, u64>,
    readings: u64,
}

/// Where a thing was read last.
#[derive(Debug)]
struct Trace {
    file: Arc<str>,
    reading: u64,
    /// What was read, if it was a subscription.
    subscription: Option<Arc<Subscription>>,
}

impl Found {
    /// A file that holds these resources.
    pub(super) fn file(&mut self, path: &Arc<str>, resources: &[Resource]) {
        self.files.push(Arc::clone(path));
        for resource in resources {
            let mut thing = |thing, subscription| {
                self.things.insert(thing, Trace { file: Arc::clone(path), reading: 0, subscription });
            };
            match resource {
                Resource::Contract(one) => one.apis.iter().for_each(|api| thing(Thing::Api(api.name.value.clone()), None)),
                Resource::Subscription(one) => {
                    thing(Thing::Subscription(one.metadata.name.value.clone()), Some(Arc::new(one.clone().into())));
                }
                Resource::Tool(one) => thing(Thing::Tool(one.metadata.name.value.clone()), None),
                Resource::ToolSet(one) => thing(Thing::ToolSet(one.metadata.name.value.clone()), None),
                Resource::Guardrail(_) | Resource::Platform(_) | Resource::Plan(_) | Resource::Tenant(_) => {}
            }
        }
    }

    /// A file or folder that holds an error, or was refused.
    pub(super) fn broken(&mut self, path: &Arc<str>) {
        self.broken.push(Arc::clone(path));
    }
}

impl Traces {
    /// Takes one more reading in.
    pub(super) fn follow(&mut self, found: Found) {
        self.readings += 1;
        let Found { mut things, files, broken } = found;
        things.values_mut().for_each(|trace| trace.reading = self.readings);
        let before = std::mem::take(&mut self.files);
        let appeared = |path: Arc<str>| {
            let reading = before.get(&path).copied().unwrap_or(self.readings);
            (path, reading)
        };
        self.files = files.into_iter().chain(broken.iter().cloned()).map(appeared).collect();
        let youngest = broken.iter().filter_map(|path| self.files.get(path)).max().copied().unwrap_or(0);
        let mut uncertain = Uncertain::default();
        broken.iter().for_each(|path| uncertain.add(path));
        for (thing, trace) in std::mem::take(&mut self.things) {
            if uncertain.holds(&trace.file) || youngest > trace.reading {
                things.entry(thing).or_insert(trace);
            }
        }
        self.things = things;
    }

    /// Forgets what nobody will ask for: a broken partition may be full of it (S16).
    pub(super) fn retain(&mut self, wanted: impl Fn(&Thing) -> bool) {
        self.things.retain(|thing, _| wanted(thing));
    }

    /// Whether a thing is still there, or may be.
    pub(crate) fn has(&self, thing: &Thing) -> bool {
        self.things.contains_key(thing)
    }

    /// The newest text of a subscription that is still there, or may be.
    pub(crate) fn subscription(&self, name: &SubscriptionName) -> Option<&Subscription> {
        self.things.get(&Thing::Subscription(name.clone()))?.subscription.as_deref()
    }
}
