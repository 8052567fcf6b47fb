//! Which counters there are: those of the snapshot, as decisions pay them.

use bulkhead_tenancy::{
    api::Api,
    limit::QuotaWindow,
    snapshot::Snapshot,
    subscription::Subscription,
    tenant::{Policy, Tenant},
};
use serde::Serialize;

use super::descriptor::Pair;
use crate::{
    bucket::Bucket,
    charge::{Charge, Level, Role, Scope},
    key::Key,
    levels::Levels,
};

/// The first part of the path of what is nobody's: a reserved word, so no tenant has it as its name.
pub const PLATFORM: &str = "platform";

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Its path below `/counters/`, which names it: `acme/subscription/s-01`.
    pub path: String,
    /// What it is.
    pub facts: Facts,
    pub(crate) scope: Scope,
    pub(crate) key: Key,
    pub(crate) bucket: Bucket,
}

/// What a counter is, as answers say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// `global`, `unresolved`, `guarantee`, `tenant`, `subscription`, `api`, `shadow` or `descriptor`.
    pub level: &'static str,
    /// Which subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Which API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Which policy's, in shadow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The window of a quota: `month/1/UTC`, `sliding/3600`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The domain of a descriptor (drop-in).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its entries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Pair>,
}

impl Facts {
    pub(super) fn of(level: &'static str) -> Self {
        Self { level, subscription: None, api: None, policy: None, window: None, domain: None, entries: Vec::new() }
    }
}

/// The counters of a snapshot.
pub struct Inventory<'s> {
    snapshot: &'s Snapshot,
    levels: &'s Levels,
}

impl<'s> Inventory<'s> {
    /// Those that `levels` charge.
    #[must_use]
    pub fn new(snapshot: &'s Snapshot, levels: &'s Levels) -> Self {
        Self { snapshot, levels }
    }

    /// What is nobody's: the global bucket, and the one of whatever has no tenant.
    #[must_use]
    pub fn platform(&self) -> Vec<Counter> {
        let charge = self.levels.unresolved(self.snapshot, 0);
        let counter = |level: &Level| {
            let name = if level.role() == Role::Shared { "global" } else { "unresolved" };
            counter(PLATFORM, name, Facts::of(name), level)
        };
        charge.levels().map(|(level, _)| counter(level)).collect()
    }

    /// Everything of a tenant behind a path, sorted by the parts of their paths. Each is made when it is come to: a tenant may have ten thousand subscriptions,
    /// and a page shows a few (S12).
    pub fn of_tenant(&self, tenant: &'s Tenant, after: &'s str) -> impl Iterator<Item = Counter> {
        let mut own = self.own(tenant);
        own.sort_by(|one, other| parts(&one.path).cmp(parts(&other.path)));
        let behind = own.split_off(own.partition_point(|one| parts(&one.path).nth(1) < Some("subscription")));
        let policy = match &tenant.policy {
            Policy::Ready(policy) => Some(policy),
            Policy::Unavailable(_) => None,
        };
        let apis = policy.into_iter().flat_map(|policy| policy.apis()).filter(move |api| !is_told(after, tenant, "api", api.name.as_str()));
        let subscriptions = policy.into_iter().flat_map(|policy| policy.subscriptions());
        let subscriptions = subscriptions.filter(move |one| !is_told(after, tenant, "subscription", one.name.as_str()));
        let all = apis.flat_map(|api| self.api(tenant, api)).chain(own);
        let all = all.chain(subscriptions.flat_map(|subscription| self.subscription(tenant, subscription))).chain(behind);
        all.filter(move |one| parts(&one.path).gt(parts(after)))
    }

    /// The counter of a path below the tenant's own.
    #[must_use]
    pub fn find(&self, tenant: &Tenant, path: &str) -> Option<Counter> {
        let policy = || match &tenant.policy {
            Policy::Ready(policy) => Some(policy),
            Policy::Unavailable(_) => None,
        };
        let all = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["subscription", name] | ["subscription", name, "quota", _] => self.subscription(tenant, policy()?.subscription(name)?),
            ["api", name] => self.api(tenant, policy()?.api(name)?),
            _ => self.own(tenant),
        };
        let path = format!("{}/{path}", tenant.name);
        all.into_iter().find(|one| one.path == path)
    }

    /// The tenant's own: guarantee, limit, quotas, limits in shadow. The global bucket, which it shares, is none of them (S22).
    fn own(&self, tenant: &Tenant) -> Vec<Counter> {
        let charge = self.charge(tenant, None, None);
        let counter = |level: &Level| {
            let (path, facts) = match (level.role(), window(level.bucket())) {
                (Role::Shadow, _) => {
                    let policy = level.policy().map(ToString::to_string);
                    (format!("shadow/{}", policy.as_deref().unwrap_or_default()), Facts { policy, ..Facts::of("shadow") })
                }
                (Role::Guarantee, _) => ("guarantee".to_owned(), Facts::of("guarantee")),
                (_, Some(window)) => (format!("quota/{}", in_path(&window)), Facts { window: Some(window), ..Facts::of("tenant") }),
                _ => ("tenant".to_owned(), Facts::of("tenant")),
            };
            counter(tenant.name.as_str(), &path, facts, level)
        };
        charge.levels().filter(|(level, _)| level.role() != Role::Shared).map(|(level, _)| counter(level)).collect()
    }

    fn subscription(&self, tenant: &Tenant, subscription: &Subscription) -> Vec<Counter> {
        let charge = self.charge(tenant, Some(subscription), None);
        let counter = |level: &Level| {
            let window = window(level.bucket());
            let quota = window.as_deref().map(|window| format!("/quota/{}", in_path(window))).unwrap_or_default();
            let facts = Facts { subscription: Some(subscription.name.to_string()), window, ..Facts::of("subscription") };
            counter(tenant.name.as_str(), &format!("subscription/{}{quota}", subscription.name), facts, level)
        };
        let mut all: Vec<Counter> = of_scope(&charge, Scope::Subscription).map(counter).collect();
        all.sort_by(|one, other| parts(&one.path).cmp(parts(&other.path)));
        all
    }

    fn api(&self, tenant: &Tenant, api: &Api) -> Vec<Counter> {
        let charge = self.charge(tenant, None, Some(api));
        let facts = Facts { api: Some(api.name.to_string()), ..Facts::of("api") };
        let counter = |level: &Level| counter(tenant.name.as_str(), &format!("api/{}", api.name), facts.clone(), level);
        of_scope(&charge, Scope::Api).map(counter).collect()
    }

    fn charge(&self, tenant: &Tenant, subscription: Option<&Subscription>, api: Option<&Api>) -> Charge {
        self.levels.of_tenant(self.snapshot, tenant, subscription, api, 0)
    }
}

/// What paths are sorted by: a subscription's quotas come behind itself, before a subscription whose name is longer (`s/quota/...` before `s-01`).
fn parts(path: &str) -> std::str::Split<'_, char> {
    path.split('/')
}

/// Whether everything of a name stood before what comes behind a path.
fn is_told(after: &str, tenant: &Tenant, section: &str, name: &str) -> bool {
    let mut last = parts(after);
    match (last.next(), last.next(), last.next()) {
        (Some(owner), Some(reached), last) if owner == tenant.name.as_str() => (section, Some(name)) < (reached, last),
        _ => false,
    }
}

fn of_scope(charge: &Charge, scope: Scope) -> impl Iterator<Item = &Level> {
    charge.levels().map(|(level, _)| level).filter(move |level| level.scope() == scope)
}

fn counter(owner: &str, path: &str, facts: Facts, level: &Level) -> Counter {
    Counter { path: format!("{owner}/{path}"), facts, scope: level.scope(), key: level.key().clone(), bucket: level.bucket().clone() }
}

/// What a quota counts over, as its key names it.
fn window(bucket: &Bucket) -> Option<String> {
    match bucket {
        Bucket::Token(_) | Bucket::Window(_) => None,
        Bucket::Sliding(sliding) => Some(QuotaWindow::Sliding { length_us: sliding.length_us() }.to_string()),
        Bucket::Calendar(quota) => Some(quota.calendar().to_string()),
    }
}

/// A window as one part of a path: `month.1.Europe.Berlin`. No name of a zone has a dot.
fn in_path(window: &str) -> String {
    window.replace('/', ".")
}
