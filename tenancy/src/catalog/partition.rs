//! One tenant's partition: what was read last, what was good last (S10), and which of the two decides.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use crate::{
    catalog::traces::{Found, Traces},
    fault::{Fault, Severity},
    judge::{
        bound::enough,
        draft::Draft,
        fit::{Fitted, Grounds},
    },
    limit::RateLimit,
    name::{Namespace, PlanName, TenantUid},
    place::Place,
    policy::TenantPolicy,
    source::{Content, SourceFile},
    tenant::Policy,
};

mod beside;
mod read;

/// How long a policy that is not the newest may decide: after a day, whoever broke the newest has had time to see it, and what the tenant
/// meant to take away must not stay forever (S10).
pub const MAX_LAST_GOOD_US: u64 = 24 * 60 * 60 * 1_000_000;

/// What is known of one partition.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// Of the newest content, if it was read.
    digest: Option<[u8; 32]>,
    /// Absent where the newest content is broken or could not be read.
    newest: Option<Arc<Draft>>,
    /// What is wrong with the newest content in itself.
    reading: Vec<Fault>,
    /// What is wrong with it under the operator's resources.
    fitting: Vec<Fault>,
    good: Option<Good>,
    /// What of it was not deleted since.
    traces: Traces,
    /// Since when the newest does not decide, in microseconds since 1970.
    stale_since: Option<u64>,
}

/// What was good last, and for whom: a tenant made anew under an old name inherits nothing (S23).
#[derive(Debug, Clone)]
struct Good {
    draft: Arc<Draft>,
    uid: TenantUid,
    /// Since when, in microseconds since 1970.
    since: u64,
}

/// A partition's content, read: everything that takes long, and needs nothing else.
#[derive(Debug)]
pub(crate) enum Reading {
    /// The same as before.
    Same,
    /// It differs.
    New(Read),
    /// It was deleted.
    Gone,
}

/// What was made of a partition's content.
#[derive(Debug)]
pub(crate) struct Read {
    digest: Option<[u8; 32]>,
    /// Absent if an error stands in its way.
    draft: Option<Arc<Draft>>,
    /// Absent if it could not be read at all: then nothing counts as deleted (S10).
    found: Option<Found>,
    faults: Vec<Fault>,
}

/// What decides for a tenant now.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) policy: Policy,
    pub(crate) rate_limit: RateLimit,
    pub(crate) state: State,
    fitting: Vec<Fault>,
    good: Option<Good>,
    stale_since: Option<u64>,
}

/// Which version of a tenant's policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The newest.
    Ready,
    /// The last good one, without what was deleted since: the newest is broken, or does not fit what the operator grants.
    LastGood,
    /// None: every request is answered 503.
    Closed,
}

impl Reading {
    /// Reads a partition. Whatever a hostile file makes a parser do, it does to this partition alone (S16).
    pub(crate) fn of(namespace: &Namespace, content: Content, before: Option<[u8; 32]>) -> Self {
        let (files, faults) = match content {
            Content::Files { files, faults } => (files, faults),
            Content::Unreadable(fault) => return Self::New(Read { digest: None, draft: None, found: None, faults: vec![fault] }),
            Content::Gone => return Self::Gone,
        };
        let digest = faults.is_empty().then(|| digest(&files));
        if digest.is_some() && digest == before {
            return Self::Same;
        }
        let root = Arc::from(format!("namespaces/{namespace}"));
        match catch_unwind(AssertUnwindSafe(|| read::read(namespace, &files, faults))) {
            Ok((draft, found, faults)) => Self::New(Read { digest, draft: draft.map(Arc::new), found: Some(found), faults }),
            Err(_) => Self::New(Read { digest, draft: None, found: None, faults: vec![Place::file(&root).fault("could not be read")] }),
        }
    }
}

fn digest(files: &[SourceFile]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for file in files {
        for text in [&*file.path, &file.text] {
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
    }
    digest.finalize().into()
}

impl Partition {
    /// The digest of the newest content.
    pub(crate) fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// A partition in which nothing is written.
    pub(crate) fn empty() -> Self {
        Self { newest: Some(Arc::default()), ..Self::default() }
    }

    /// Whether a version that may decide names one of these plans.
    pub(crate) fn names_a_plan_of(&self, plans: &BTreeSet<&PlanName>) -> bool {
        let drafts = self.newest.iter().chain(self.good.as_ref().map(|good| &good.draft));
        drafts.flat_map(|draft| draft.tiers()).any(|tier| plans.contains(tier))
    }

    /// Takes the newest content in. The last good one stays until it is known whether this is better.
    pub(crate) fn take(&mut self, read: Read) {
        self.digest = read.digest;
        self.newest = read.draft;
        self.reading = read.faults;
        if let Some(found) = read.found {
            self.traces.follow(found);
        }
        // A broken version never decides: only what the last good one holds will be asked for.
        if self.newest.is_none() {
            self.traces.retain(|thing| self.good.as_ref().is_some_and(|good| good.draft.holds(thing)));
        }
        self.fitting.clear();
    }

    /// Which version decides under these grounds, at a moment: nothing is changed yet.
    pub(crate) fn decide(&self, grounds: &Grounds<'_>, now: u64) -> Decided {
        let standing = grounds.standing;
        if let Some(reason) = &standing.closed {
            let policy = Policy::Unavailable(Arc::clone(reason));
            let (good, stale_since) = (self.good.clone(), self.stale_since);
            return Decided { policy, rate_limit: standing.plan.rate_limit, state: State::Closed, fitting: Vec::new(), good, stale_since };
        }
        let good = self.good.as_ref().filter(|good| good.uid == standing.uid);
        let mut fitting = Vec::new();
        let fitted = self.newest.as_ref().and_then(|newest| Some((newest, newest.fit(grounds, &mut fitting)?)));
        enough(&mut fitting);
        if let Some((newest, fitted)) = fitted {
            let since = good.filter(|good| Arc::ptr_eq(&good.draft, newest)).map_or(now, |good| good.since);
            let good = Good { draft: Arc::clone(newest), uid: standing.uid.clone(), since };
            return Decided::by(fitted, State::Ready, fitting, Some(good), None);
        }
        let stale_since = self.stale_since.unwrap_or(now);
        let old = now.saturating_sub(stale_since) >= MAX_LAST_GOOD_US;
        let last = good.filter(|good| self.newest.as_ref().is_none_or(|newest| !Arc::ptr_eq(newest, &good.draft)));
        let reason = match last {
            None if good.is_some() => "what the tenant wrote does not fit what the operator grants any more",
            None => "the tenant's configuration never was valid",
            Some(_) if old => "the last valid configuration is too old",
            // Faults of the last good version are not said: its author sees the newest.
            Some(last) => match last.draft.remains(&self.traces).fit(grounds, &mut Vec::new()) {
                Some(fitted) => return Decided::by(fitted, State::LastGood, fitting, good.cloned(), Some(stale_since)),
                None => "neither the newest nor the last valid configuration fits what the operator grants",
            },
        };
        let policy = Policy::Unavailable(Arc::from(reason));
        let rate_limit = standing.plan.rate_limit;
        Decided { policy, rate_limit, state: State::Closed, fitting, good: good.cloned(), stale_since: Some(stale_since) }
    }

    /// Remembers what was decided.
    pub(crate) fn remember(&mut self, decided: &Decided) {
        self.fitting.clone_from(&decided.fitting);
        self.good.clone_from(&decided.good);
        self.stale_since = decided.stale_since;
    }

    /// Forgets what was good for a tenant that is no more: who comes after it inherits nothing (S23).
    pub(crate) fn forget(&mut self) {
        self.fitting.clear();
        self.good = None;
        self.stale_since = None;
    }

    /// When the last good version that decides becomes too old, in microseconds since 1970.
    pub(crate) fn too_old_at(&self) -> Option<u64> {
        Some(self.stale_since?.saturating_add(MAX_LAST_GOOD_US))
    }

    /// Since when what decides is known to be good, in microseconds since 1970.
    pub(crate) fn good_since(&self) -> Option<u64> {
        self.good.as_ref().map(|good| good.since)
    }

    /// Everything that is wrong with the newest content.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.reading.iter().chain(&self.fitting)
    }

    /// The first error of the newest content.
    pub(crate) fn error(&self) -> Option<&Fault> {
        self.faults().find(|fault| fault.severity == Severity::Error)
    }
}

impl Decided {
    fn by(fitted: Fitted, state: State, fitting: Vec<Fault>, good: Option<Good>, stale_since: Option<u64>) -> Self {
        let policy = Policy::Ready(Arc::<TenantPolicy>::new(fitted.policy));
        Self { policy, rate_limit: fitted.rate_limit, state, fitting, good, stale_since }
    }
}
