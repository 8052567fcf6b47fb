//! What Envoy asks, read against one snapshot: who pays what (S9).
//!
//! A descriptor of the contract has the entries `tenant`, `subscription` and `api`, each with a default where ext-authz said nothing. One
//! that lacks an entry, has one twice, or names no tenant of ours is not the contract's, and pays the unresolved bucket.

use std::sync::Arc;

use bulkhead_proto::contract::descriptor;
use bulkhead_tenancy::{
    api::Audit,
    snapshot::Snapshot,
    tenant::{StoreFailure, Tenant},
};

use super::{
    names::{Named, Names, Remembered},
    question::{Descriptor, MAX_DESCRIPTORS, Question},
};
use crate::{charge::Charge, levels::Levels, limiter::Fallback};

/// The longest decision id that an answer repeats.
const MAX_DECISION: usize = 128;

/// What is worth counting about a request, though it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    NoDescriptors,
    MissingEntry,
    UnknownTenant,
    UnknownSubscription,
    UnknownApi,
    ForeignEntry,
    LimitOverride,
}

impl Oddity {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NoDescriptors => "no_descriptors",
            Self::MissingEntry => "missing_entry",
            Self::UnknownTenant => "unknown_tenant",
            Self::UnknownSubscription => "unknown_subscription",
            Self::UnknownApi => "unknown_api",
            Self::ForeignEntry => "foreign_entry",
            Self::LimitOverride => "limit_override_ignored",
        }
    }
}

/// A request, resolved: everything that it is charged, and what its answer needs.
pub(super) struct Asked<'r> {
    charge: Charge,
    /// How many levels of the charge's outcome belong to each descriptor, in order.
    shares: Vec<usize>,
    fallback: Fallback,
    /// What the first descriptor that has a tenant names.
    first: Option<Arc<Named>>,
    decision: Option<&'r str>,
    /// What is recorded of it: the most that any of its APIs asks for.
    audit: Audit,
    /// It names what this service does not know: another service's configuration may be newer.
    unknown: bool,
    generation: u64,
    oddities: Vec<Oddity>,
}

/// What a request is read against: one snapshot, and what was looked up in it before.
#[derive(Clone, Copy)]
pub(super) struct Known<'k> {
    pub(super) snapshot: &'k Arc<Snapshot>,
    pub(super) levels: &'k Levels,
    pub(super) remembered: &'k Remembered,
}

impl<'r> Asked<'r> {
    /// Reads a request.
    ///
    /// # Errors
    /// What no charge can be made of: hits that would be given back, or more descriptors than any chain of ours sends.
    pub(super) fn read(request: &Question<'r>, known: Known<'_>) -> Result<Self, &'static str> {
        let Known { snapshot, levels, .. } = known;
        let mut asked = Self {
            charge: Charge::new(),
            shares: Vec::with_capacity(request.descriptors.len()),
            fallback: Fallback { mode: StoreFailure::Open, replicas: snapshot.platform().limiter.replicas },
            first: None,
            decision: None,
            audit: Audit::None,
            unknown: false,
            generation: snapshot.generation(),
            oddities: Vec::new(),
        };
        if request.descriptors.len() > MAX_DESCRIPTORS {
            return Err("too many descriptors");
        }
        let hits = u64::from(request.hits.max(1));
        for descriptor in &request.descriptors {
            if descriptor.negative_hits {
                return Err("negative hits: nothing is given back");
            }
            asked.add(descriptor, descriptor.hits.unwrap_or(hits), known);
        }
        if request.descriptors.is_empty() {
            asked.oddities.push(Oddity::NoDescriptors);
            asked.pay(levels.unresolved(snapshot, hits), StoreFailure::Local);
            asked.audit = Audit::Denied;
        }
        // What no store decides must not come to look like a store that is away: a failure mode might let it through (S9).
        if asked.charge.is_oversized() {
            return Err("too many limits apply at once");
        }
        Ok(asked)
    }

    fn add(&mut self, descriptor: &Descriptor<'r>, cost: u64, known: Known<'_>) {
        let asked_before = self.audit;
        // As ext-authz takes it: denials, unless the API says otherwise.
        self.audit = stricter(asked_before, Audit::Denied);
        if descriptor.limited {
            // Limits of this domain come from the snapshot alone.
            self.oddities.push(Oddity::LimitOverride);
        }
        let entries = Entries::of(descriptor);
        if entries.foreign {
            self.oddities.push(Oddity::ForeignEntry);
        }
        self.decision = self.decision.or(entries.decision.filter(|id| is_decision(id)));
        let Some(names) = entries.names() else {
            self.oddities.push(Oddity::MissingEntry);
            return self.pay(known.levels.unresolved(known.snapshot, cost), StoreFailure::Local);
        };
        let Some(named) = known.remembered.look_up(names, known.snapshot, known.levels) else {
            if names.first() != Some(&descriptor::UNRESOLVED) {
                self.oddities.push(Oddity::UnknownTenant);
                self.unknown = true;
            }
            return self.pay(known.levels.unresolved(known.snapshot, cost), StoreFailure::Local);
        };
        if named.subscription.is_unknown() {
            self.oddities.push(Oddity::UnknownSubscription);
        }
        if named.api.is_unknown() {
            self.oddities.push(Oddity::UnknownApi);
            self.unknown = true;
        }
        if let Some(audit) = named.audit() {
            self.audit = stricter(asked_before, audit);
        }
        self.pay(Charge::of(Arc::clone(&named.shape), cost), named.tenant.on_store_failure);
        self.first.get_or_insert(named);
    }

    fn pay(&mut self, charge: Charge, mode: StoreFailure) {
        self.shares.push(charge.levels().filter(|(level, _)| level.role().may_deny()).count());
        self.charge.append(charge);
        self.fallback = self.fallback.strictest(Fallback { mode, ..self.fallback });
    }

    pub(super) fn charge(&self) -> &Charge {
        &self.charge
    }

    pub(super) fn shares(&self) -> &[usize] {
        &self.shares
    }

    pub(super) fn fallback(&self) -> Fallback {
        self.fallback
    }

    /// The first tenant that pays.
    pub(super) fn tenant(&self) -> Option<&Tenant> {
        self.tenant_shared().map(Arc::as_ref)
    }

    /// As [`Asked::tenant`], to be kept.
    pub(super) fn tenant_shared(&self) -> Option<&Arc<Tenant>> {
        self.first.as_ref().map(|named| &named.tenant)
    }

    /// The subscription of the first tenant that pays.
    pub(super) fn subscription(&self) -> Option<&str> {
        self.first.as_ref()?.subscription.known().map(|subscription| subscription.name.as_str())
    }

    /// The API of the first tenant that pays.
    pub(super) fn api(&self) -> Option<&str> {
        self.first.as_ref()?.api.known().map(|api| api.name.as_str())
    }

    pub(super) fn audit(&self) -> Audit {
        self.audit
    }

    /// Whether a tenant or an API is named that is not known here, so that nobody here can say what is to be recorded of it.
    pub(super) fn is_unknown(&self) -> bool {
        self.unknown
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn decision(&self) -> Option<&'r str> {
        self.decision
    }

    pub(super) fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }
}

/// The entries of one descriptor.
#[derive(Default)]
struct Entries<'r> {
    tenant: Option<&'r str>,
    subscription: Option<&'r str>,
    api: Option<&'r str>,
    decision: Option<&'r str>,
    foreign: bool,
    twice: bool,
}

impl<'r> Entries<'r> {
    fn of(descriptor: &Descriptor<'r>) -> Self {
        let mut entries = Self::default();
        for (key, value) in &descriptor.entries {
            let place = match *key {
                descriptor::TENANT => &mut entries.tenant,
                descriptor::SUBSCRIPTION => &mut entries.subscription,
                descriptor::API => &mut entries.api,
                descriptor::DECISION => &mut entries.decision,
                _ => {
                    entries.foreign = true;
                    continue;
                }
            };
            entries.twice |= place.replace(value).is_some();
        }
        entries
    }

    fn names(&self) -> Option<Names<'r>> {
        if self.twice {
            return None;
        }
        Some([self.tenant?, self.subscription?, self.api?])
    }
}

/// What is recorded where two ask for it.
fn stricter(one: Audit, other: Audit) -> Audit {
    match (one, other) {
        (Audit::Full, _) | (_, Audit::Full) => Audit::Full,
        (Audit::Denied, _) | (_, Audit::Denied) => Audit::Denied,
        (Audit::None, Audit::None) => Audit::None,
    }
}

/// Whether an id may be repeated in answers and logs: short, visible ASCII.
fn is_decision(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_DECISION
        && id.bytes().all(|byte| byte.is_ascii_graphic())
        && id != descriptor::NONE
        && id != descriptor::UNRESOLVED
}
