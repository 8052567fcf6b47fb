//! Who holds what two tenants could claim both: issuers, hosts, upstreams, stores, namespaces, uids (S17, S21).
//!
//! The incumbent keeps what it holds; a newcomer is refused; newcomers that contest each other (a cold start) are both refused, and only
//! for what they contest.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use crate::{
    grant::{StoreIdentity, StoreServer},
    name::TenantName,
};

mod pattern;

pub(crate) use pattern::{Patterns, Reach, Tree, template_conflict, template_label};

/// One tenant's claim to one thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Claim<T> {
    /// Whose it is.
    pub(crate) tenant: TenantName,
    /// What is claimed.
    pub(crate) thing: T,
}

/// Claims that can be searched for a rival: one of another tenant that cannot stand beside this one.
pub(crate) trait Rivals<T>: Default {
    /// Adds a claim.
    fn add(&mut self, claim: &Claim<T>);

    /// Whether another tenant's claim among these rules this one out.
    fn any(&self, claim: &Claim<T>) -> bool;
}

/// Things that are contested when they are equal.
#[derive(Debug)]
pub(crate) struct Equal<T>(HashMap<T, Vec<TenantName>>);

impl<T> Default for Equal<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone + Eq + Hash> Rivals<T> for Equal<T> {
    fn add(&mut self, claim: &Claim<T>) {
        add_holder(self.0.entry(claim.thing.clone()).or_default(), &claim.tenant);
    }

    fn any(&self, claim: &Claim<T>) -> bool {
        self.0.get(&claim.thing).is_some_and(|holders| another(holders, &claim.tenant))
    }
}

/// Stores that are contested when they have a server in common: two lists of one cluster's nodes need not be alike.
#[derive(Debug, Default)]
pub(crate) struct Stores(HashMap<StoreServer, Vec<TenantName>>);

impl Rivals<StoreIdentity> for Stores {
    fn add(&mut self, claim: &Claim<StoreIdentity>) {
        for server in claim.thing.servers() {
            add_holder(self.0.entry(server.clone()).or_default(), &claim.tenant);
        }
    }

    fn any(&self, claim: &Claim<StoreIdentity>) -> bool {
        claim.thing.servers().any(|server| self.0.get(server).is_some_and(|holders| another(holders, &claim.tenant)))
    }
}

/// Adds one to the holders of a thing. Two are enough to know of a rival to anybody, so no more are kept.
fn add_holder<H: Clone + PartialEq>(holders: &mut Vec<H>, holder: &H) {
    if holders.len() < 2 && !holders.contains(holder) {
        holders.push(holder.clone());
    }
}

/// Whether somebody else than this one is among the holders.
fn another<H: PartialEq>(holders: &[H], holder: &H) -> bool {
    holders.iter().any(|other| other != holder)
}

/// What each claim came to, and who holds what from now on.
pub(crate) type Holdings<T> = HashSet<Claim<T>>;

/// Settles claims: who held a thing before and claims it again keeps it; of the others, those that no incumbent and no other newcomer
/// contests are granted.
pub(crate) fn settle<T, R>(claims: impl Iterator<Item = Claim<T>>, held: &Holdings<T>) -> Holdings<T>
where
    T: Clone + Eq + Hash,
    R: Rivals<T>,
{
    let (incumbents, newcomers): (Vec<_>, Vec<_>) = claims.partition(|claim| held.contains(claim));
    // Only newcomers are ever refused. Most changes of the operator's resources have none, and need not look at what everybody holds.
    if newcomers.is_empty() {
        return incumbents.into_iter().collect();
    }
    let mut taken = R::default();
    incumbents.iter().for_each(|claim| taken.add(claim));
    // What is refused to a newcomer by an incumbent is not contested by it: a third tenant does not lose by it.
    let candidates: Vec<_> = newcomers.into_iter().filter(|claim| !taken.any(claim)).collect();
    let mut asked = R::default();
    candidates.iter().for_each(|claim| asked.add(claim));
    let granted = candidates.into_iter().filter(|claim| !asked.any(claim));
    incumbents.into_iter().chain(granted).collect()
}

#[cfg(test)]
mod tests;
