//! Everything that is known of the configuration: the operator's resources, and of each partition the newest and the last good content.
//!
//! Changes go in, snapshots come out. A change of one partition rebuilds its tenant alone; a change of the operator's resources rebuilds
//! those that it touches. The catalog does no I/O and lives on one thread.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

pub(crate) mod claim;
mod guarantee;
mod operator;
mod parallel;
mod partition;
mod slot;
pub(crate) mod standing;
pub(crate) mod traces;

pub use partition::{MAX_LAST_GOOD_US, State};

use self::{
    operator::Operator,
    partition::{Decided, Partition, Reading},
    standing::{Standing, Standings},
};
use crate::{
    clock::Clock,
    fault::{Fault, Severity},
    issuer::Issuer,
    judge::fit::Grounds,
    name::{Namespace, PlanName, TenantName},
    place::Place,
    platform::Platform,
    snapshot::{HostIndex, Issuers, Snapshot},
    source::{Change, Content, PartitionKey, SourceFile},
    tenant::{Policy, Tenant},
};

/// Everything known, and the snapshot made of it last.
pub struct Catalog {
    clock: Arc<dyn Clock>,
    operator: Operator,
    partitions: HashMap<Namespace, Partition>,
    standings: Option<Standings>,
    states: HashMap<TenantName, State>,
    /// Tenants that their last good policy serves: it becomes too old some day.
    ageing: HashSet<TenantName>,
    snapshot: Option<Arc<Snapshot>>,
}

/// Why there is no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// No Platform was ever good: nothing can be decided.
    #[error("no valid Platform")]
    NoPlatform(Vec<Fault>),
}

/// What the operator sees of one tenant. Its error is of its own partition only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantReport {
    /// The tenant.
    pub tenant: TenantName,
    /// Which version of its policy decides.
    pub state: State,
    /// Why the newest does not, or why nothing does.
    pub last_error: Option<String>,
    /// For how many seconds what decides has been known to be good.
    pub age_seconds: u64,
}

impl Catalog {
    /// A catalog that knows nothing yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            operator: Operator::default(),
            partitions: HashMap::new(),
            standings: None,
            states: HashMap::new(),
            ageing: HashSet::new(),
            snapshot: None,
        }
    }

    /// Takes changes in and returns the snapshot that follows: the same one, if nothing follows from them. Without changes it only looks at
    /// the clock (a last good policy becomes too old, S10): whoever feeds the catalog does that once a minute or so.
    ///
    /// # Errors
    /// When no Platform was ever good. What was taken in is kept.
    pub fn apply(&mut self, changes: Vec<Change>) -> Result<Arc<Snapshot>, CatalogError> {
        let mut touched: HashSet<Namespace> = HashSet::new();
        let mut partitions = Vec::new();
        let mut operators = self.standings.is_none();
        for Change { partition, content } in changes {
            match partition {
                PartitionKey::Operator => {
                    self.operator.read(content);
                    operators = true;
                }
                PartitionKey::Namespace(namespace) => partitions.push((namespace, content)),
            }
        }
        self.read(partitions, &mut touched);
        let mut dirty: BTreeSet<TenantName> = BTreeSet::new();
        let standings = match self.standings.take() {
            Some(standings) if !operators => standings,
            before => {
                let Some(wanted) = self.operator.wanted() else { return Err(CatalogError::NoPlatform(self.faults())) };
                let after = Standings::settle(before.as_ref(), &wanted);
                dirty.extend(self.rejudged(before.as_ref(), &after));
                let orphans = self.partitions.iter_mut().filter(|(namespace, _)| !after.by_namespace.contains_key(*namespace));
                orphans.for_each(|(_, partition)| partition.forget());
                after
            }
        };
        dirty.extend(touched.iter().filter_map(|namespace| standings.by_namespace.get(namespace).cloned()));
        let now = self.clock.now_us();
        dirty.extend(self.ageing.iter().filter(|tenant| self.is_too_old(tenant, &standings, now)).cloned());
        let snapshot = self.publish(&standings, dirty, operators, now);
        self.standings = Some(standings);
        Ok(snapshot)
    }

    /// Reads partitions, on every core, and takes them in, in their order.
    fn read(&mut self, changes: Vec<(Namespace, Content)>, touched: &mut HashSet<Namespace>) {
        let known = &self.partitions;
        let readings = parallel::map(changes, |(namespace, content)| {
            let before = known.get(&namespace).and_then(Partition::digest);
            let reading = Reading::of(&namespace, content, before);
            (namespace, reading)
        });
        for (namespace, reading) in readings {
            match reading {
                Reading::Same => continue,
                Reading::New(read) => self.partitions.entry(namespace.clone()).or_default().take(read),
                Reading::Gone => drop(self.partitions.remove(&namespace)),
            }
            touched.insert(namespace);
        }
    }

    /// The tenants that a change of the operator's resources touches.
    fn rejudged<'a>(&'a self, before: Option<&'a Standings>, after: &'a Standings) -> impl Iterator<Item = TenantName> + 'a {
        let everybody = before.is_none_or(|before| !same_grounds(&before.platform, &after.platform));
        let plans: BTreeSet<&PlanName> = match before {
            Some(before) => {
                let names = |one: &'a Standings, two: &'a Standings| one.plans.keys().filter(|name| !two.plans.contains_key(*name));
                names(before, after).chain(names(after, before)).collect()
            }
            None => BTreeSet::new(),
        };
        let touched = move |name: &TenantName, standing: &Arc<Standing>| {
            let same = before.and_then(|before| before.tenants.get(name)).is_some_and(|old| Arc::ptr_eq(old, standing));
            let tier = || self.partitions.get(&standing.grant.namespace.value).is_some_and(|own| own.names_a_plan_of(&plans));
            everybody || !same || (!plans.is_empty() && tier())
        };
        after.tenants.iter().filter(move |(name, standing)| touched(name, standing)).map(|(name, _)| name.clone())
    }

    fn is_too_old(&self, tenant: &TenantName, standings: &Standings, now: u64) -> bool {
        let partition = standings.tenants.get(tenant).and_then(|standing| self.partitions.get(&standing.grant.namespace.value));
        partition.and_then(Partition::too_old_at).is_none_or(|at| now >= at)
    }

    /// Builds the tenants that changed, and the snapshot with them.
    fn publish(&mut self, standings: &Standings, dirty: BTreeSet<TenantName>, operators: bool, now: u64) -> Arc<Snapshot> {
        let before = self.snapshot.as_ref().filter(|before| dirty.is_empty() && (!operators || unchanged(before, standings)));
        if let Some(before) = before {
            return Arc::clone(before);
        }
        let dirty: Vec<_> = dirty.into_iter().filter_map(|name| Some((standings.tenants.get(&name)?, name))).collect();
        let partitions = &self.partitions;
        let built = parallel::map(dirty, |(standing, name)| {
            let partition = partitions.get(&standing.grant.namespace.value);
            (name, build(standings, standing, partition, now))
        });

        let old = self.snapshot.as_deref();
        let mut tenants = old.map(|old| old.tenants.clone()).unwrap_or_default();
        let mut hosts = old.map(|old| old.hosts.clone()).unwrap_or_default();
        if operators {
            let gone: Vec<_> =
                tenants.iter().map(|(name, _)| name).filter(|name| !standings.tenants.contains_key(*name)).cloned().collect();
            for name in gone {
                if let Some(tenant) = tenants.remove(&name) {
                    rehost(&mut hosts, Some(&tenant), None);
                }
                self.states.remove(&name);
                self.ageing.remove(&name);
            }
        }
        for (name, (tenant, decided)) in built {
            if let Some(partition) = self.partitions.get_mut(&tenant.namespace) {
                partition.remember(&decided);
            }
            self.states.insert(name.clone(), decided.state);
            if decided.state == State::LastGood {
                self.ageing.insert(name.clone());
            } else {
                self.ageing.remove(&name);
            }
            rehost(&mut hosts, tenants.get(&name).map(|old| &**old), Some(&tenant));
            tenants.insert(name, tenant);
        }
        let issuers = match old {
            Some(old) if !operators => Arc::clone(&old.issuers),
            _ => Arc::new(issuers(standings)),
        };
        let snapshot = Arc::new(Snapshot {
            generation: old.map_or(1, |old| old.generation + 1),
            platform: Arc::clone(&standings.platform),
            tenants,
            issuers,
            namespaces: Arc::clone(&standings.by_namespace),
            hosts,
            default_guarantee: standings.ledger.default_share(),
        });
        self.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// All that is wrong at the moment, errors and warnings, by file and line.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self.operator.faults().cloned().collect();
        faults.extend(self.partitions.values().flat_map(Partition::faults).cloned());
        if let Some(standings) = &self.standings {
            faults.extend(standings.faults.iter().cloned());
            for namespace in self.partitions.keys().filter(|namespace| !standings.by_namespace.contains_key(*namespace)) {
                let partition = Arc::from(format!("namespaces/{namespace}"));
                let why = self.operator.why_nobodys(namespace);
                faults.push(Place::file(&partition).fault(format!("{why}: nothing in it is served")));
            }
        }
        faults.sort_by(|one, two| (&one.file, one.line, one.column, &one.field).cmp(&(&two.file, two.line, two.column, &two.field)));
        faults.dedup();
        faults
    }

    /// Every tenant, by name.
    #[must_use]
    pub fn report(&self) -> Vec<TenantReport> {
        let now = self.clock.now_us();
        let Some(standings) = &self.standings else { return Vec::new() };
        let report = |(name, standing): (&TenantName, &Arc<Standing>)| {
            let partition = self.partitions.get(&standing.grant.namespace.value);
            let closed = standing.closed.as_ref().map(ToString::to_string);
            TenantReport {
                tenant: name.clone(),
                state: self.states.get(name).copied().unwrap_or(State::Closed),
                last_error: closed.or_else(|| Some(partition?.error()?.to_string())),
                age_seconds: partition.and_then(Partition::good_since).map_or(0, |since| now.saturating_sub(since) / 1_000_000),
            }
        };
        standings.tenants.iter().map(report).collect()
    }
}

/// Builds one tenant: what the operator grants, and what the tenant wrote inside it.
fn build(standings: &Standings, standing: &Standing, partition: Option<&Partition>, now: u64) -> (Arc<Tenant>, Decided) {
    let grounds = Grounds { platform: &standings.platform, plans: &standings.plans, standing };
    // A tenant without a partition wrote nothing: that is a policy too, and it reaches nothing.
    let decided = partition.map_or_else(|| Partition::empty().decide(&grounds, now), |partition| partition.decide(&grounds, now));
    let grant = &standing.grant;
    let tenant = Tenant {
        name: grant.name.value.clone(),
        uid: standing.uid.clone(),
        namespace: grant.namespace.value.clone(),
        plan: Arc::clone(&standing.plan),
        region: grant.region.value.clone(),
        status: grant.status,
        issuers: standing.issuers.clone(),
        hosts: standing.hosts.clone(),
        upstreams: standing.upstreams.clone(),
        on_store_failure: grant.on_store_failure,
        limiter_mode: grant.limiter_mode,
        store: grant.store.as_ref().map(|store| store.value.clone()),
        rate_limit: decided.rate_limit,
        policy: decided.policy.clone(),
    };
    (Arc::new(tenant), decided)
}

/// Whether a snapshot already says what the operator's resources come to.
fn unchanged(snapshot: &Snapshot, standings: &Standings) -> bool {
    snapshot.platform == standings.platform
        && snapshot.default_guarantee == standings.ledger.default_share()
        && snapshot.tenants.len() == standings.tenants.len()
        && snapshot.tenants.iter().all(|(name, _)| standings.tenants.contains_key(name))
}

/// Whether two platforms judge what tenants wrote alike.
fn same_grounds(one: &Platform, two: &Platform) -> bool {
    one.routing == two.routing
        && one.topics == two.topics
        && one.upstreams == two.upstreams
        && one.addressing.host == two.addressing.host
        && one.context_token == two.context_token
}

fn issuers(standings: &Standings) -> Issuers {
    let of = |(name, standing): (&TenantName, &Arc<Standing>)| {
        let entry = |issuer: &Arc<Issuer>| (issuer.id.clone(), (name.clone(), Arc::clone(issuer)));
        standing.issuers.iter().map(entry).collect::<Vec<_>>()
    };
    standings.tenants.iter().flat_map(of).collect()
}

/// Puts a tenant's claims to hosts in the place of those it had.
fn rehost(hosts: &mut HostIndex, old: Option<&Tenant>, new: Option<&Tenant>) {
    if let Some(Tenant { name, policy: Policy::Ready(policy), .. }) = old {
        hosts.remove(name, policy);
    }
    if let Some(Tenant { name, policy: Policy::Ready(policy), .. }) = new {
        hosts.add(name, policy);
    }
}

/// A snapshot made of files in memory, for tests and trials: `namespaces/<namespace>/...` is that namespace's, everything else the
/// operator's.
///
/// # Errors
/// Every error and warning, if there is an error.
pub fn from_files(files: &[(&str, &str)]) -> Result<Arc<Snapshot>, Vec<Fault>> {
    let mut catalog = Catalog::new(Arc::new(crate::clock::SystemClock));
    let snapshot = catalog.apply(changes_of(files));
    let faults = catalog.faults();
    match snapshot {
        Ok(snapshot) if faults.iter().all(|fault| fault.severity != Severity::Error) => Ok(snapshot),
        _ => Err(faults),
    }
}

/// The changes that tell a catalog of files in memory; see [`from_files`].
#[must_use]
pub fn changes_of(files: &[(&str, &str)]) -> Vec<Change> {
    let mut partitions: HashMap<PartitionKey, Vec<SourceFile>> = HashMap::from([(PartitionKey::Operator, Vec::new())]);
    for (path, text) in files {
        let namespace = path.strip_prefix("namespaces/").and_then(|rest| rest.split_once('/')?.0.parse().ok());
        let partition = namespace.map_or(PartitionKey::Operator, PartitionKey::Namespace);
        partitions.entry(partition).or_default().push(SourceFile { path: Arc::from(*path), text: (*text).to_owned() });
    }
    let mut changes: Vec<_> = partitions
        .into_iter()
        .map(|(partition, files)| Change { partition, content: Content::Files { files, faults: Vec::new() } })
        .collect();
    changes.sort_by(|one, two| one.partition.cmp(&two.partition));
    changes
}

#[cfg(test)]
mod tests;
