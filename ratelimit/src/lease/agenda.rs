//! When a claim is looked at again. A replica may have leases of very many claims, and looks in a tick only at those for which something is due.

use std::collections::BTreeMap;

use super::Claim;

/// Visits are made at full tenths of a second.
const SLOT_US: u64 = 100_000;

/// Claims by the time of their next visit. One that was put forward stands at its former time too: whoever visits knows by the entry which is meant.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    slots: BTreeMap<u64, Vec<Claim>>,
}

impl Agenda {
    /// The visit for what is due at a moment: not before it.
    pub(super) fn visit(due_us: u64) -> u64 {
        due_us.div_ceil(SLOT_US)
    }

    /// Puts a claim on the agenda.
    pub(super) fn put(&mut self, visit: u64, claim: Claim) {
        self.slots.entry(visit).or_default().push(claim);
    }

    /// Takes the claims of the next visit whose time has come.
    pub(super) fn take(&mut self, now_us: u64) -> Option<(u64, Vec<Claim>)> {
        let first = self.slots.first_entry().filter(|first| *first.key() <= now_us / SLOT_US)?;
        Some(first.remove_entry())
    }
}
