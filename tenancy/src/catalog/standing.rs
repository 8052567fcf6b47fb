//! Where each tenant stands: what of its grant it really holds, once conflicts and guarantees are settled (S17).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use secrecy::ExposeSecret;

use super::{
    claim::{Claim, Equal, Holdings, Patterns, Reach, Rivals, Stores, settle, template_conflict},
    guarantee::{self, Ledger, Refused},
};
use crate::{
    fault::Fault,
    grant::{StoreIdentity, TenantGrant},
    host::HostPattern,
    issuer::{Issuer, IssuerId},
    judge::plan,
    limit::RateLimit,
    name::{Namespace, PlanName, TenantName, TenantUid},
    place::{At, Place},
    platform::Platform,
    tenant::{Isolation, Plan},
};

/// The operator's resources as they are in force: the newest where it is good, else the last good one.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) platform: Arc<Platform>,
    /// Where a fault of the global limit stands.
    pub(crate) total: At<RateLimit>,
    pub(crate) plans: BTreeMap<PlanName, At<Arc<Plan>>>,
    pub(crate) tenants: BTreeMap<TenantName, Arc<TenantGrant>>,
}

/// What one tenant holds.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) grant: Arc<TenantGrant>,
    pub(crate) uid: TenantUid,
    pub(crate) plan: Arc<Plan>,
    pub(crate) issuers: Vec<Arc<Issuer>>,
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) upstreams: Vec<HostPattern>,
    /// Why the operator's resources close it, if they do.
    pub(crate) closed: Option<Arc<str>>,
}

impl Standing {
    /// Whether it was made of this very grant, and of the plan that the tenant is on now.
    fn is_of(&self, grant: &Arc<TenantGrant>, ledger: &Ledger) -> bool {
        let plan = || ledger.tenants.get(&grant.name.value).and_then(|plan| ledger.plans.get(plan));
        Arc::ptr_eq(&self.grant, grant) && self.closed.is_none() && plan().is_some_and(|plan| *plan == self.plan)
    }

    /// Whether nothing that a decision reads differs. Lines and columns may.
    fn same(&self, other: &Self) -> bool {
        let (a, b) = (&*self.grant, &*other.grant);
        let store = |grant: &TenantGrant| grant.store.as_ref().map(|store| store.expose_secret().to_owned());
        let grants = Arc::ptr_eq(&self.grant, &other.grant)
            || (a.name == b.name
                && a.namespace == b.namespace
                && a.plan == b.plan
                && a.region == b.region
                && a.status == b.status
                && a.hosts == b.hosts
                && a.upstreams == b.upstreams
                && a.on_store_failure == b.on_store_failure
                && a.limiter_mode == b.limiter_mode
                && store(a) == store(b));
        grants
            && self.uid == other.uid
            && self.plan == other.plan
            && self.issuers == other.issuers
            && self.hosts == other.hosts
            && self.upstreams == other.upstreams
            && self.closed == other.closed
    }
}

/// Where every tenant stands, with what the next settlement begins from.
#[derive(Debug)]
pub(crate) struct Standings {
    pub(crate) platform: Arc<Platform>,
    pub(crate) plans: BTreeMap<PlanName, Arc<Plan>>,
    /// The tenants of the snapshot. One whose very identity is contested is not among them.
    pub(crate) tenants: BTreeMap<TenantName, Arc<Standing>>,
    /// Shared with the snapshots that are made of it.
    pub(crate) by_namespace: Arc<HashMap<Namespace, TenantName>>,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Vec<Fault>,
    held: Held,
}

/// What was held, of everything that two could claim. What did not change hands is the same allocation in the next settlement.
#[derive(Debug, Default)]
struct Held {
    uids: Arc<Holdings<TenantUid>>,
    namespaces: Arc<Holdings<Namespace>>,
    issuers: Arc<Holdings<IssuerId>>,
    hosts: Arc<Holdings<Reach>>,
    upstreams: Arc<Holdings<Reach>>,
    stores: Arc<Holdings<StoreIdentity>>,
}

impl Standings {
    /// Settles what the operator's resources ask for, beginning from what is held.
    pub(crate) fn settle(before: Option<&Self>, wanted: &Wanted) -> Self {
        let nothing = Held::default();
        let held = before.map_or(&nothing, |before| &before.held);
        let mut faults = Vec::new();

        let (served, uids, namespaces) = identities(wanted, held, &mut faults);
        let stores = stores(wanted, held, &served, &mut faults);
        let (ledger, refused) = guarantees(before, wanted, &served, &stores, &mut faults);
        let platform = if refused.total { with_limit(&wanted.platform, ledger.total) } else { Arc::clone(&wanted.platform) };

        let (mut issuers, mut hosts, mut upstreams) = (vec![], vec![], vec![]);
        for (name, grant) in &served {
            let plan = ledger.tenants.get(name).and_then(|plan| ledger.plans.get(plan));
            let shared = plan.is_some_and(|plan| plan.isolation == Isolation::Pool);
            let claim = |pattern: &HostPattern, shared| Claim { tenant: name.clone(), thing: Reach { pattern: pattern.clone(), shared } };
            issuers.extend(grant.issuers.iter().map(|one| (Claim { tenant: name.clone(), thing: one.id.clone() }, &one.place)));
            for host in &grant.hosts {
                match &platform.addressing.host {
                    Some(template) if template_conflict(template, host, name) => {
                        faults.push(host.fault("overlaps the platform's addressing: it is refused"));
                    }
                    _ => hosts.push((claim(host, false), &host.place)),
                }
            }
            upstreams.extend(grant.upstreams.iter().map(|one| (claim(one, shared), &one.place)));
        }
        let held = Held {
            uids,
            namespaces,
            issuers: contest::<_, Equal<_>>(issuers, &held.issuers, "issuer", &mut faults),
            hosts: contest::<_, Patterns>(hosts, &held.hosts, "host", &mut faults),
            upstreams: contest::<_, Patterns>(upstreams, &held.upstreams, "upstream", &mut faults),
            stores,
        };

        let mut tenants = BTreeMap::new();
        for (name, grant) in &served {
            let old = before.and_then(|before| before.tenants.get(name));
            let untouched = old.filter(|old| before.is_some_and(|before| held.changed_no_hands(&before.held)) && old.is_of(grant, &ledger));
            let standing = untouched.map_or_else(
                || {
                    let standing = held.standing(grant, &ledger, &refused);
                    old.filter(|old| old.same(&standing)).map_or_else(|| Arc::new(standing), Arc::clone)
                },
                Arc::clone,
            );
            tenants.insert(name.clone(), standing);
        }
        let by_namespace = tenants.iter().map(|(name, standing)| (standing.grant.namespace.value.clone(), name.clone()));
        let by_namespace = Arc::new(by_namespace.collect());
        Self { platform, plans: ledger.plans.clone(), tenants, by_namespace, ledger, faults, held }
    }
}

impl Held {
    /// Whether every issuer, host, upstream and store is whose it was.
    fn changed_no_hands(&self, before: &Self) -> bool {
        Arc::ptr_eq(&self.issuers, &before.issuers)
            && Arc::ptr_eq(&self.hosts, &before.hosts)
            && Arc::ptr_eq(&self.upstreams, &before.upstreams)
            && Arc::ptr_eq(&self.stores, &before.stores)
    }

    fn standing(&self, grant: &Arc<TenantGrant>, ledger: &Ledger, refused: &Refused) -> Standing {
        let name = &grant.name.value;
        let reaches = |held: &Holdings<Reach>, patterns: &[At<HostPattern>]| {
            let holds = |pattern: &HostPattern| {
                [false, true]
                    .into_iter()
                    .any(|shared| held.contains(&Claim { tenant: name.clone(), thing: Reach { pattern: pattern.clone(), shared } }))
            };
            patterns.iter().filter(|pattern| holds(pattern)).map(|pattern| pattern.value.clone()).collect()
        };
        let plan = ledger.tenants.get(name).and_then(|plan| ledger.plans.get(plan));
        let closed = match plan {
            Some(_) => None,
            None if refused.newcomers.contains(name) => Some("the guarantees of all tenants leave nothing for this one"),
            None if grant.store.is_some() => Some("its plan does not exist, it does not fit its plan, or its store is not its own"),
            None => Some("its plan does not exist, or it does not fit its plan"),
        };
        Standing {
            grant: Arc::clone(grant),
            uid: uid(grant),
            plan: plan.map_or_else(|| Arc::new(Plan::closed(&grant.plan)), Arc::clone),
            issuers: grant
                .issuers
                .iter()
                .filter(|issuer| self.issuers.contains(&Claim { tenant: name.clone(), thing: issuer.id.clone() }))
                .map(|issuer| Arc::clone(&issuer.value))
                .collect(),
            hosts: reaches(&self.hosts, &grant.hosts),
            upstreams: reaches(&self.upstreams, &grant.upstreams),
            closed: closed.map(Arc::from),
        }
    }
}

fn uid(grant: &TenantGrant) -> TenantUid {
    grant.uid.as_ref().map_or_else(|| TenantUid::of_name(&grant.name), |uid| uid.value.clone())
}

type Served = BTreeMap<TenantName, Arc<TenantGrant>>;

/// The tenants whose identity is their own: a uid (S23) and a namespace (S21) that no other has. The others are not served at all, and
/// contest nothing else.
fn identities(wanted: &Wanted, held: &Held, faults: &mut Vec<Fault>) -> (Served, Arc<Holdings<TenantUid>>, Arc<Holdings<Namespace>>) {
    let namespace = |grant: &TenantGrant| Claim { tenant: grant.name.value.clone(), thing: grant.namespace.value.clone() };
    let of = |grant: &TenantGrant| (Claim { tenant: grant.name.value.clone(), thing: uid(grant) }, namespace(grant));
    let uid_place = |grant: &'_ TenantGrant| grant.uid.as_ref().map_or_else(|| grant.name.place.clone(), |uid| uid.place.clone());
    let places: Vec<_> = wanted.tenants.values().map(|grant| (of(grant), uid_place(grant), &grant.namespace.place)).collect();
    let uids = contest::<_, Equal<_>>(places.iter().map(|((uid, _), place, _)| (uid.clone(), place)).collect(), &held.uids, "uid", faults);
    // Who has no uid of its own contests no namespace either.
    let namespaces =
        places.iter().filter(|((uid, _), ..)| uids.contains(uid)).map(|((_, namespace), _, place)| (namespace.clone(), *place));
    let namespaces = contest::<_, Equal<_>>(namespaces.collect(), &held.namespaces, "namespace", faults);
    // Whoever was granted its namespace has its uid, too.
    let served = wanted.tenants.iter().filter(|(_, grant)| namespaces.contains(&namespace(grant)));
    (served.map(|(name, grant)| (name.clone(), Arc::clone(grant))).collect(), uids, namespaces)
}

/// The store that a tenant claims.
fn store(grant: &TenantGrant) -> Option<Claim<StoreIdentity>> {
    let thing = StoreIdentity::of(grant.store.as_ref()?.expose_secret());
    Some(Claim { tenant: grant.name.value.clone(), thing })
}

/// A silo's store is its own: two would share its memory, its time and its end. Whoever has a store that its plan does not give it claims none.
fn stores(wanted: &Wanted, held: &Held, served: &Served, faults: &mut Vec<Fault>) -> Arc<Holdings<StoreIdentity>> {
    let silo = |grant: &&Arc<TenantGrant>| wanted.plans.get(&grant.plan.value).is_some_and(|plan| plan.isolation == Isolation::Silo);
    let claims = served.values().filter(silo).filter_map(|grant| Some((store(grant)?, &grant.store.as_ref()?.place)));
    contest::<_, Stores>(claims.collect(), &held.stores, "store", faults)
}

/// Settles one kind of thing, with a fault for each refusal. It names its own file, and nothing of who stands against it (S16). No claim is
/// there twice: a tenant has one uid and one namespace, and lists each issuer, host and upstream once.
fn contest<T, R>(claims: Vec<(Claim<T>, &Place)>, held: &Arc<Holdings<T>>, what: &str, faults: &mut Vec<Fault>) -> Arc<Holdings<T>>
where
    T: Clone + Eq + std::hash::Hash,
    R: Rivals<T>,
{
    if claims.len() == held.len() && claims.iter().all(|(claim, _)| held.contains(claim)) {
        return Arc::clone(held);
    }
    let granted = settle::<T, R>(claims.iter().map(|(claim, _)| claim.clone()), held);
    if granted.len() == claims.len() {
        return Arc::new(granted);
    }
    for (_, place) in claims.iter().filter(|(claim, _)| !granted.contains(claim)) {
        faults.push(place.fault(format!("this {what} is another tenant's, or asked for by another tenant too: it is refused")));
    }
    Arc::new(granted)
}

/// Settles the guarantees among the tenants whose plan exists, and that bring what it asks of them.
fn guarantees(
    before: Option<&Standings>,
    wanted: &Wanted,
    served: &Served,
    stores: &Holdings<StoreIdentity>,
    faults: &mut Vec<Fault>,
) -> (Ledger, Refused) {
    let mut asked = Ledger {
        total: Some(wanted.platform.rate_limit),
        plans: wanted.plans.iter().map(|(name, plan)| (name.clone(), Arc::clone(&plan.value))).collect(),
        tenants: BTreeMap::new(),
    };
    for (name, grant) in served {
        match asked.plans.get(&grant.plan.value) {
            None => faults.push(grant.plan.fault("no such plan, or none that ever was valid: the tenant is closed")),
            Some(plan) if !plan::fits(grant, plan, faults) => {}
            // The fault was told when the stores were settled.
            Some(_) if store(grant).is_some_and(|claim| !stores.contains(&claim)) => {}
            Some(plan) => drop(asked.tenants.insert(name.clone(), plan.name.clone())),
        }
    }
    let nothing = Ledger::default();
    let (ledger, refused) = guarantee::settle(before.map_or(&nothing, |before| &before.ledger), &asked);
    if refused.total {
        faults.push(wanted.total.fault("is below what the plans guarantee: the previous limit holds"));
    }
    for plan in refused.plans.iter().filter_map(|plan| wanted.plans.get(plan)) {
        faults.push(plan.fault("guarantees more than the global limit leaves: the previous version holds"));
    }
    for grant in refused.moves.iter().filter_map(|tenant| served.get(tenant)) {
        faults.push(grant.plan.fault("guarantees more than the global limit leaves: the previous plan holds"));
    }
    for grant in refused.newcomers.iter().filter_map(|tenant| served.get(tenant)) {
        faults.push(grant.plan.fault("the global limit leaves no guarantee for this tenant: it is closed"));
    }
    (ledger, refused)
}

fn with_limit(platform: &Platform, limit: Option<RateLimit>) -> Arc<Platform> {
    let rate_limit = limit.unwrap_or(platform.rate_limit);
    Arc::new(Platform { rate_limit, ..platform.clone() })
}
