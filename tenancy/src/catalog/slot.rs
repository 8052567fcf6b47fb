//! Resources of one kind, by name: the newest of each, and its last good version.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use crate::{fault::Fault, place::Place};

/// The files of which it is not known what they say now.
#[derive(Debug, Default)]
pub(crate) struct Uncertain(HashSet<Arc<str>>);

impl Uncertain {
    /// Adds a file, or a folder with everything in it.
    pub(crate) fn add(&mut self, path: &Arc<str>) {
        self.0.insert(Arc::clone(path));
    }

    /// The first of them, by path.
    pub(crate) fn first(&self) -> Option<&Arc<str>> {
        self.0.iter().min()
    }

    /// Whether a file is one of them.
    pub(crate) fn holds(&self, file: &str) -> bool {
        let folders = file.match_indices('/').map(|(end, _)| &file[..end]);
        // The whole configuration folder has no name of its own.
        ["", ".", file].into_iter().chain(folders).any(|path| self.0.contains(path))
    }
}

/// The resources of one kind that the operator wrote.
#[derive(Debug)]
pub(crate) struct Slots<N, M, T>(BTreeMap<N, Slot<M, T>>);

/// One resource as it was read.
#[derive(Debug)]
pub(crate) struct Seen<N, M> {
    pub(crate) name: N,
    pub(crate) file: Arc<str>,
    pub(crate) manifest: Arc<M>,
    /// The place of a complaint about the whole of it.
    pub(crate) place: Place,
}

/// One resource: where it was seen last, as it was written, and what was good last.
#[derive(Debug)]
struct Slot<M, T> {
    file: Arc<str>,
    newest: Arc<M>,
    good: Option<T>,
    faults: Vec<Fault>,
}

impl<N, M, T> Default for Slots<N, M, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<M, T> Slot<M, T> {
    fn new<N>(seen: &Seen<N, M>, judge: impl Fn(&M, &mut Vec<Fault>) -> Option<T>) -> Self {
        let mut faults = Vec::new();
        let good = judge(&seen.manifest, &mut faults);
        Self { file: Arc::clone(&seen.file), newest: Arc::clone(&seen.manifest), good, faults }
    }

    /// Takes what was read now. What is broken leaves the last good version.
    fn take<N>(&mut self, seen: &Seen<N, M>, again: bool, judge: impl Fn(&M, &mut Vec<Fault>) -> Option<T>) {
        if again || !Arc::ptr_eq(&self.newest, &seen.manifest) {
            let old = self.good.take();
            *self = Self::new(seen, judge);
            self.good = self.good.take().or(old);
        }
    }
}

impl<N: Ord + Clone, M, T> Slots<N, M, T> {
    /// Puts what was read now in the place of what was read before. `uncertain` are the files that hold errors: what was last seen there
    /// and is not seen now may still be there (S10). Of several with one name the incumbent holds it; without one nobody knows which is meant, least of
    /// all by the names of their files, and what was good before holds (S17).
    pub(crate) fn read(
        &mut self,
        seen: &[Seen<N, M>],
        uncertain: &Uncertain,
        again: bool,
        judge: impl Fn(&M, &mut Vec<Fault>) -> Option<T>,
        faults: &mut Vec<Fault>,
    ) {
        let mut named: BTreeMap<&N, Vec<&Seen<N, M>>> = BTreeMap::new();
        seen.iter().for_each(|one| named.entry(&one.name).or_default().push(one));
        let names: BTreeSet<N> = named.keys().map(|name| (*name).clone()).collect();
        let mut chosen = Vec::with_capacity(named.len());
        for (name, rivals) in named {
            let slot = self.0.get(name);
            let mut incumbents = rivals.iter().filter(|one| slot.is_some_and(|slot| slot.file == one.file));
            let incumbent = incumbents.next().filter(|_| incumbents.next().is_none()).copied();
            // An incumbent whose file cannot be read whole may still be there: another file does not get its name meanwhile.
            let held = slot.is_some_and(|slot| uncertain.holds(&slot.file));
            let holder = incumbent.or_else(|| rivals.first().copied().filter(|_| rivals.len() == 1 && !held));
            let why = match (holder.is_some() || held, slot) {
                (true, _) => "another resource of this kind has this name, and holds it",
                (false, Some(_)) => {
                    "another resource of this kind has this name, and which is meant cannot be known: the last good one holds"
                }
                (false, None) => "another resource of this kind has this name, and which is meant cannot be known: neither counts",
            };
            let refused = rivals.iter().filter(|one| holder.is_none_or(|holder| !std::ptr::eq(holder, **one)));
            faults.extend(refused.map(|one| one.place.fault(why)));
            chosen.extend(holder);
        }
        self.0.retain(|name, slot| names.contains(name) || uncertain.holds(&slot.file));
        for one in chosen {
            match self.0.get_mut(&one.name) {
                Some(slot) => slot.take(one, again, &judge),
                None => drop(self.0.insert(one.name.clone(), Slot::new(one, &judge))),
            }
        }
    }

    /// What is in force, by name: the last good version of each.
    pub(crate) fn good(&self) -> impl Iterator<Item = (&N, &T)> {
        self.0.iter().filter_map(|(name, slot)| Some((name, slot.good.as_ref()?)))
    }

    /// The names of all, good or not.
    pub(crate) fn names(&self) -> BTreeSet<&N> {
        self.0.keys().collect()
    }

    /// What is wrong with the newest of each.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.0.values().flat_map(|slot| &slot.faults)
    }
}
