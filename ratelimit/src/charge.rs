//! What one request would cost, level by level. The store takes all of it or none of it.

use std::{fmt, sync::Arc};

use crate::{
    bucket::Bucket,
    key::{Account, Key, Meter},
};

/// The most levels that one charge may have: what is larger no store decides (S12: inputs are bounded before batching).
/// Twelve descriptors of 21 levels: global and guarantee, tenant, subscription, API, four quotas of the tenant, eight of a subscription (what a last
/// good and a newer text state, while the newer has an error), and four limits in shadow.
pub const MAX_LEVELS: usize = 252;

/// Which level of the hierarchy a bucket is: what an answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The platform's limit, with the guarantees.
    Global,
    /// The tenant's limit; also the one bucket of whatever has no tenant.
    Tenant,
    /// The subscription's limit.
    Subscription,
    /// The API's own limit.
    Api,
}

impl Scope {
    /// The scope as answers and metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Tenant => "tenant",
            Self::Subscription => "subscription",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a level's bucket must do for the charge to be admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It must hold the whole cost.
    Hold,
    /// If it holds the whole cost it pays, and the [`Role::Shared`] level after it may go into debt. It never denies.
    Guarantee,
    /// It must hold the whole cost, unless the guarantee just before it paid.
    Shared,
    /// It pays in any case, below zero if need be, and passes if it held the whole cost: the windows of envoyproxy/ratelimit go on counting
    /// when they are over. A charge of several parts that is denied pays nothing all the same.
    Count,
    /// A limit that is tried out: if it holds the whole cost it pays, and else it would have denied. It never does, so its state is what it would be if it
    /// stood. It stands behind all others.
    Shadow,
}

impl Role {
    /// Whether a charge may be denied for it.
    #[must_use]
    pub const fn may_deny(self) -> bool {
        !matches!(self, Self::Guarantee | Self::Shadow)
    }
}

/// One bucket of a shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Level {
    pub(crate) key: Key,
    pub(crate) bucket: Bucket,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    /// Of a limit in shadow: the policy that states it.
    pub(crate) policy: Option<Arc<str>>,
}

impl Level {
    fn new(scope: Scope, role: Role, key: Key, bucket: Bucket) -> Self {
        Self { key, bucket, role, scope, policy: None }
    }

    /// Where it is kept.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its bucket.
    #[must_use]
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// What its bucket must do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which level it is.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The policy in shadow whose limit it is.
    #[must_use]
    pub fn policy(&self) -> Option<&Arc<str>> {
        self.policy.as_ref()
    }
}

/// Which buckets a request pays, whatever it costs: the same for every request of one tenant, subscription and API, so it is built once and
/// shared, and requests of one shape are decided together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    levels: Vec<Level>,
    meter: Option<Meter>,
    lease: Option<u32>,
}

impl Shape {
    /// No levels yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These levels, and this meter.
    pub(crate) fn of(levels: Vec<Level>, meter: Option<Meter>) -> Self {
        Self { levels, meter, lease: None }
    }

    /// Adds a bucket that must hold the whole cost. A key stands in a shape once: the first that names it holds.
    #[must_use]
    pub fn hold(self, scope: Scope, key: Key, bucket: Bucket) -> Self {
        self.with(Level::new(scope, Role::Hold, key, bucket))
    }

    /// Adds a bucket that counts whether or not it is over.
    #[must_use]
    pub fn count(self, scope: Scope, key: Key, bucket: Bucket) -> Self {
        self.with(Level::new(scope, Role::Count, key, bucket))
    }

    /// Adds the shared bucket, with the guarantee that may put it into debt. The pair is added in one step, so a guarantee cannot stand
    /// before anything else.
    #[must_use]
    pub fn shared(self, key: Key, bucket: Bucket, guarantee: Option<(Key, Bucket)>) -> Self {
        let mut shape = self;
        if let Some((guaranteed, bucket)) = guarantee.filter(|(guaranteed, _)| *guaranteed != key) {
            shape = shape.with(Level::new(Scope::Global, Role::Guarantee, guaranteed, bucket));
        }
        shape.with(Level::new(Scope::Global, Role::Shared, key, bucket))
    }

    /// Adds the limit of a policy in shadow, behind all others.
    #[must_use]
    pub fn shadow(self, policy: &str, key: Key, bucket: Bucket) -> Self {
        self.with(Level { policy: Some(Arc::from(policy)), ..Level::new(Scope::Tenant, Role::Shadow, key, bucket) })
    }

    /// Counts what is admitted and denied at a meter.
    #[must_use]
    pub fn metered(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Lets replicas take tokens in advance ([`crate::lease`]): at a time one in `share` of what would still pass.
    #[must_use]
    pub fn leased(mut self, share: u32) -> Self {
        self.lease = Some(share.max(1));
        self
    }

    fn with(mut self, level: Level) -> Self {
        if self.levels.iter().all(|known| known.key != level.key) {
            self.levels.push(level);
        }
        self
    }

    /// The levels, in the order in which they are judged.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Where its levels are kept.
    pub(crate) fn keys(&mut self) -> impl Iterator<Item = &mut Key> {
        self.levels.iter_mut().map(|level| &mut level.key)
    }

    /// Where its costs are counted.
    #[must_use]
    pub fn meter(&self) -> Option<&Meter> {
        self.meter.as_ref()
    }

    /// The share of what would still pass that a replica may take in advance; none where every decision is exact.
    #[must_use]
    pub fn lease(&self) -> Option<u32> {
        self.lease
    }

    /// Who pays: the account of the first bucket that is not the platform's own. One tenant is one payer, whichever of its buckets are asked for
    /// (S12: a payer has one share of the queue).
    #[must_use]
    pub fn payer(&self) -> Option<&Account> {
        self.levels.iter().find(|level| matches!(level.role, Role::Hold | Role::Count)).map(|level| level.key.account())
    }

    fn share(&self, replicas: u32) -> Self {
        let share = |level: &Level| Level { bucket: level.bucket.share(replicas), ..level.clone() };
        Self { levels: self.levels.iter().map(share).collect(), meter: None, lease: None }
    }
}

/// A shape at a cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub(crate) shape: Arc<Shape>,
    pub(crate) cost: u64,
}

impl Part {
    /// The buckets that it pays.
    #[must_use]
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// What each of them pays, in requests. 0 looks only.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }
}

/// Everything that one request is charged, all or none: a part for each of its descriptors. A key may stand in several parts (several
/// descriptors of one tenant): the costs add up.
#[derive(Debug, Clone)]
pub struct Charge {
    parts: Parts,
}

/// Nearly every charge has one part, which needs no allocation.
#[derive(Debug, Clone)]
enum Parts {
    One([Part; 1]),
    Some(Vec<Part>),
}

impl Default for Charge {
    fn default() -> Self {
        Self { parts: Parts::Some(Vec::new()) }
    }
}

impl PartialEq for Charge {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Charge {}

impl Charge {
    /// A charge of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These parts.
    pub(crate) fn from_parts(parts: Vec<Part>) -> Self {
        Self { parts: Parts::Some(parts) }
    }

    /// One shape at a cost.
    #[must_use]
    pub fn of(shape: Arc<Shape>, cost: u64) -> Self {
        Self { parts: Parts::One([Part { shape, cost }]) }
    }

    /// Adds a bucket that must hold the whole cost, as a part of its own.
    #[must_use]
    pub fn hold(self, scope: Scope, key: Key, bucket: Bucket, cost: u64) -> Self {
        self.with(Shape::new().hold(scope, key, bucket), cost)
    }

    /// Adds the shared bucket, with the guarantee that may put it into debt, as a part of its own.
    #[must_use]
    pub fn shared(self, key: Key, bucket: Bucket, guarantee: Option<(Key, Bucket)>, cost: u64) -> Self {
        self.with(Shape::new().shared(key, bucket, guarantee), cost)
    }

    fn with(mut self, shape: Shape, cost: u64) -> Self {
        self.append(Self::of(Arc::new(shape), cost));
        self
    }

    /// Adds all parts of another charge: both or neither.
    pub fn append(&mut self, other: Self) {
        if self.parts().is_empty() {
            *self = other;
        } else {
            let mut parts = self.parts().to_vec();
            parts.extend_from_slice(other.parts());
            self.parts = Parts::Some(parts);
        }
    }

    /// Its parts, in the order in which they are decided.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        match &self.parts {
            Parts::One(part) => part,
            Parts::Some(parts) => parts,
        }
    }

    /// Every level with its cost, in the order in which they are decided.
    pub fn levels(&self) -> impl Iterator<Item = (&Level, u64)> {
        self.parts().iter().flat_map(|part| part.shape.levels.iter().map(move |level| (level, part.cost)))
    }

    /// What the store takes to decide it, in token buckets ([`Bucket::weight`]).
    pub(crate) fn weight(&self) -> usize {
        self.levels().map(|(level, _)| level.bucket.weight()).sum()
    }

    /// Whether no store decides it.
    pub(crate) fn is_oversized(&self) -> bool {
        self.levels().nth(MAX_LEVELS).is_some() || self.parts().len() > MAX_LEVELS
    }

    /// Whether a level that may deny denies all (its rate is 0): then it needs no store to be denied.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.levels().any(|(level, _)| level.role.may_deny() && level.bucket.capacity() == 0)
    }

    /// Who pays, as [`Shape::payer`] has it.
    #[must_use]
    pub fn payer(&self) -> Option<&Account> {
        self.parts().iter().find_map(|part| part.shape.payer())
    }

    /// The same charge against one replica's share of every limit. It is metered nowhere.
    #[must_use]
    pub fn share(&self, replicas: u32) -> Self {
        let share = |part: &Part| Part { shape: Arc::new(part.shape.share(replicas)), cost: part.cost };
        Self { parts: Parts::Some(self.parts().iter().map(share).collect()) }
    }
}
