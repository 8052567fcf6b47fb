//! What Envoy asks, read against one snapshot: who pays what (S9).
//!
//! A descriptor of the contract has the entries `tenant`, `subscription` and `api`, each with a default where ext-authz said nothing. One
//! that lacks an entry, has one twice, or names no tenant of ours is not the contract's, and pays the unresolved bucket.

use std::sync::Arc;

use bulkhead_proto::{
    contract::descriptor,
    pb::envoy::{extensions::common::ratelimit::v3::RateLimitDescriptor, service::ratelimit::v3::RateLimitRequest},
};
use bulkhead_tenancy::{
    api::Audit,
    name::{ApiName, SubscriptionName},
    policy::TenantPolicy,
    snapshot::Snapshot,
    tenant::{Policy, StoreFailure, Tenant},
};

use crate::{charge::Charge, levels::Levels, limiter::Fallback};

/// The most descriptors of one request: all levels of each, with guarantee and quotas, stay inside the bound of a charge.
const MAX_DESCRIPTORS: usize = 12;

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
pub(super) struct Asked {
    charge: Charge,
    /// How many levels of the charge's outcome belong to each descriptor, in order.
    shares: Vec<usize>,
    fallback: Fallback,
    tenant: Option<Arc<Tenant>>,
    decision: Option<String>,
    subscription: Option<SubscriptionName>,
    api: Option<ApiName>,
    /// What is recorded of it: the most that any of its APIs asks for.
    audit: Audit,
    /// It names what this service does not know: another service's configuration may be newer.
    unknown: bool,
    generation: u64,
    oddities: Vec<Oddity>,
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// What no charge can be made of: hits that would be given back, or more descriptors than any chain of ours sends.
    pub(super) fn read(request: &RateLimitRequest, snapshot: &Snapshot, levels: &Levels) -> Result<Self, &'static str> {
        if request.descriptors.len() > MAX_DESCRIPTORS {
            return Err("too many descriptors");
        }
        let replicas = snapshot.platform().limiter.replicas;
        let open = Fallback { mode: StoreFailure::Open, replicas };
        let mut asked = Self {
            charge: Charge::new(),
            shares: Vec::new(),
            fallback: open,
            tenant: None,
            decision: None,
            subscription: None,
            api: None,
            audit: Audit::None,
            unknown: false,
            generation: snapshot.generation(),
            oddities: Vec::new(),
        };
        let hits = u64::from(request.hits_addend.max(1));
        for descriptor in &request.descriptors {
            if descriptor.is_negative_hits {
                return Err("negative hits: nothing is given back");
            }
            let cost = descriptor.hits_addend.as_ref().map_or(hits, |own| own.value);
            asked.add(descriptor, cost, snapshot, levels);
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

    fn add(&mut self, descriptor: &RateLimitDescriptor, cost: u64, snapshot: &Snapshot, levels: &Levels) {
        let asked_before = self.audit;
        // As ext-authz takes it: denials, unless the API says otherwise.
        self.audit = stricter(asked_before, Audit::Denied);
        if descriptor.limit.is_some() {
            // Limits of this domain come from the snapshot alone.
            self.oddities.push(Oddity::LimitOverride);
        }
        let names = Names::of(descriptor);
        if names.foreign {
            self.oddities.push(Oddity::ForeignEntry);
        }
        if let Some(decision) = names.decision.filter(|id| is_decision(id)) {
            self.decision.get_or_insert_with(|| decision.to_owned());
        }
        let Some((tenant, subscription, api)) = names.whole() else {
            self.oddities.push(Oddity::MissingEntry);
            return self.pay(levels.unresolved(snapshot, cost), StoreFailure::Local);
        };
        let Some(tenant) = snapshot.tenant(tenant) else {
            if tenant != descriptor::UNRESOLVED {
                self.oddities.push(Oddity::UnknownTenant);
                self.unknown = true;
            }
            return self.pay(levels.unresolved(snapshot, cost), StoreFailure::Local);
        };
        let policy = match &tenant.policy {
            Policy::Ready(policy) => Some(policy.as_ref()),
            Policy::Unavailable(_) => None,
        };
        let subscription = self.known(policy, subscription, TenantPolicy::subscription, Oddity::UnknownSubscription);
        let api_name = api;
        let api = self.known(policy, api_name, TenantPolicy::api, Oddity::UnknownApi);
        self.unknown |= api.is_none() && api_name != descriptor::NONE;
        if let Some(api) = api {
            self.audit = stricter(asked_before, api.audit);
        }
        if self.tenant.is_none() {
            self.subscription = subscription.map(|subscription| subscription.name.clone());
            self.api = api.map(|api| api.name.clone());
        }
        let charge = levels.charge(snapshot, tenant, subscription, api, cost);
        self.tenant.get_or_insert_with(|| Arc::clone(tenant));
        self.pay(charge, tenant.on_store_failure);
    }

    /// A level that a name stands for: none is named, or it is counted that nobody knows it.
    fn known<'p, T>(
        &mut self,
        policy: Option<&'p TenantPolicy>,
        name: &str,
        find: impl Fn(&'p TenantPolicy, &str) -> Option<&'p T>,
        unknown: Oddity,
    ) -> Option<&'p T> {
        if name == descriptor::NONE {
            return None;
        }
        let found = policy.and_then(|policy| find(policy, name));
        if found.is_none() {
            self.oddities.push(unknown);
        }
        found
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
        self.tenant.as_deref()
    }

    /// As [`Asked::tenant`], to be kept.
    pub(super) fn tenant_shared(&self) -> Option<&Arc<Tenant>> {
        self.tenant.as_ref()
    }

    /// The subscription of the first tenant that pays.
    pub(super) fn subscription(&self) -> Option<&str> {
        self.subscription.as_ref().map(SubscriptionName::as_str)
    }

    /// The API of the first tenant that pays.
    pub(super) fn api(&self) -> Option<&str> {
        self.api.as_ref().map(ApiName::as_str)
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

    pub(super) fn decision(&self) -> Option<&str> {
        self.decision.as_deref()
    }

    pub(super) fn oddities(&self) -> &[Oddity] {
        &self.oddities
    }
}

/// The entries of one descriptor.
#[derive(Default)]
struct Names<'d> {
    tenant: Option<&'d str>,
    subscription: Option<&'d str>,
    api: Option<&'d str>,
    decision: Option<&'d str>,
    foreign: bool,
    twice: bool,
}

impl<'d> Names<'d> {
    fn of(descriptor: &'d RateLimitDescriptor) -> Self {
        let mut names = Self::default();
        for entry in &descriptor.entries {
            let place = match entry.key.as_str() {
                descriptor::TENANT => &mut names.tenant,
                descriptor::SUBSCRIPTION => &mut names.subscription,
                descriptor::API => &mut names.api,
                descriptor::DECISION => &mut names.decision,
                _ => {
                    names.foreign = true;
                    continue;
                }
            };
            names.twice |= place.replace(&entry.value).is_some();
        }
        names
    }

    fn whole(&self) -> Option<(&'d str, &'d str, &'d str)> {
        if self.twice {
            return None;
        }
        Some((self.tenant?, self.subscription?, self.api?))
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
