//! The keys of one issuer over time: fetched once for all who wait, refreshed before they grow old, believed for a while when the
//! provider is down, and asked for again when a token names a key that they lack, but not often (S18).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bulkhead_tenancy::{
    clock::Clock,
    issuer::{Issuer, KeySource},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout_at},
};

use super::{FetchError, Fingerprint, KeyProvider, KeySet, SharedKeys, http};
use crate::tenant::compartment::Bounds;

/// How often keys are fetched, and how long they are believed.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The age at which keys are refreshed, in the background.
    pub refresh: Duration,
    /// The age from which keys are not believed any more, whatever the provider does. Revocation takes effect within `refresh` while the
    /// provider answers, and within this when it does not (S23).
    pub stale: Duration,
    /// The least time between two fetches because of a token that no key verifies, for a source that did not fail lately. The key may be
    /// new, so such a token is not refused before somebody looked.
    pub unverified: Duration,
    /// The same for a source that failed lately, or is not known: its tokens are refused meanwhile.
    pub unverified_suspect: Duration,
    /// The wait after a first failure; it doubles with each further one.
    pub backoff: Duration,
    /// The longest wait after failures.
    pub backoff_max: Duration,
    /// The longest that one fetch may take.
    pub fetch: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            stale: Duration::from_secs(3600),
            unverified: Duration::from_secs(1),
            unverified_suspect: Duration::from_secs(10),
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            fetch: Duration::from_secs(6),
        }
    }
}

/// The keys cannot be had in time; somebody may try again after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tenant) struct Unavailable {
    /// For the operator.
    pub(in crate::tenant) why: &'static str,
    /// Whether a fetch is under way whose answer was not waited for to its end.
    pub(in crate::tenant) on_its_way: bool,
}

impl Unavailable {
    pub(in crate::tenant) fn settled(why: &'static str) -> Self {
        Self { why, on_its_way: false }
    }

    fn on_its_way(why: &'static str) -> Self {
        Self { why, on_its_way: true }
    }
}

/// Who brings a token that no key verifies. A stranger who does it all the time is suspect after the first one, and keeps nobody else from
/// having a new key looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::tenant) enum Standing {
    /// A source that did not fail lately.
    Good,
    /// A source that failed lately, or nobody knows which.
    Suspect,
}

/// What all keyrings share: where keys come from, and how many fetches run at a time in all, beside one for each tenant.
pub(in crate::tenant) struct Supply {
    pub(in crate::tenant) provider: Arc<dyn KeyProvider>,
    pub(in crate::tenant) clock: Arc<dyn Clock>,
    pub(in crate::tenant) pace: Pace,
    pub(in crate::tenant) fetches: Arc<Semaphore>,
}

/// The keys of one issuer of one tenant.
pub(in crate::tenant) struct Keyring {
    issuer: Arc<Issuer>,
    supply: Arc<Supply>,
    /// The tenant's own bounds on waiting and fetching.
    bounds: Arc<Bounds>,
    state: Mutex<State>,
    /// Tells those who wait that a fetch has ended.
    landed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    /// The last good set and when it was fetched, in microseconds.
    keys: Option<(SharedKeys, u64)>,
    /// When the last fetch ended, in microseconds.
    tried: Option<u64>,
    /// Fetches that failed since the last good one.
    failures: u32,
    /// Whether a fetch is on its way.
    flying: bool,
}

/// What a look at the state says.
enum Look {
    /// These keys, now.
    Keys(SharedKeys),
    /// A fetch is on its way.
    Wait,
    /// No fetch may be made now; why.
    Not(&'static str),
}

impl Keyring {
    /// A ring without keys, unless they stand in the configuration: nothing is fetched before somebody asks.
    pub(in crate::tenant) fn new(issuer: Arc<Issuer>, supply: Arc<Supply>, bounds: Arc<Bounds>) -> Arc<Self> {
        let ring = Self { issuer, supply, bounds, state: Mutex::default(), landed: watch::Sender::new(()) };
        if let KeySource::Inline(jwks) = &ring.issuer.keys {
            let read = KeySet::read(jwks, &ring.issuer, |bytes| ring.bounds.keys.charge(bytes));
            ring.land(&mut ring.state(), read);
        }
        Arc::new(ring)
    }

    /// Whether the ring's keys are the keys of this issuer as it is configured now. Only what keys are read by counts.
    pub(in crate::tenant) fn serves(&self, issuer: &Arc<Issuer>) -> bool {
        let own = &self.issuer;
        Arc::ptr_eq(own, issuer) || (own.id == issuer.id && own.keys == issuer.keys && own.algorithms == issuer.algorithms)
    }

    /// The keys that are believed at this moment, without waiting; a refresh is started when it is due.
    pub(in crate::tenant) fn current(self: &Arc<Self>) -> Option<SharedKeys> {
        match self.look(None) {
            Look::Keys(keys) => Some(keys),
            Look::Wait | Look::Not(_) => None,
        }
    }

    /// Whether a key is among those that are believed at this moment; absent where nobody knows yet. Of keys that are too old to be believed it is none. A refresh is
    /// started when it is due.
    pub(in crate::tenant) fn holds(self: &Arc<Self>, key: Fingerprint) -> Option<bool> {
        match self.look(None) {
            Look::Keys(keys) => Some(keys.holds(key)),
            Look::Wait => None,
            Look::Not(_) => self.state().keys.is_some().then_some(false),
        }
    }

    /// The keys; the first one who asks has them fetched, and everybody waits for the same fetch until the deadline.
    ///
    /// # Errors
    /// When they cannot be had in time.
    pub(in crate::tenant) async fn keys(self: &Arc<Self>, deadline: Instant) -> Result<SharedKeys, Unavailable> {
        self.wait(None, deadline).await?.ok_or(Unavailable::settled("the issuer's keys were not fetched"))
    }

    /// Keys that are newer than a set that does not verify a token; absent where there are none, or, for a suspect, where it was asked not
    /// long ago.
    ///
    /// # Errors
    /// When nobody knows whether there are newer ones: the provider does not answer, or was asked a moment ago.
    pub(in crate::tenant) async fn newer_than(
        self: &Arc<Self>,
        seen: &SharedKeys,
        standing: Standing,
        deadline: Instant,
    ) -> Result<Option<SharedKeys>, Unavailable> {
        self.wait(Some((seen, standing)), deadline).await
    }

    async fn wait(self: &Arc<Self>, seen: Option<(&SharedKeys, Standing)>, deadline: Instant) -> Result<Option<SharedKeys>, Unavailable> {
        // Subscribed before the look, so that a fetch that ends in between is not missed.
        let mut landed = self.landed.subscribe();
        match self.look(seen) {
            Look::Keys(keys) => return Ok(Some(keys)),
            Look::Not(why) if seen.is_some_and(|(_, standing)| standing == Standing::Suspect) => return self.settled(true, why),
            // Of keys in the configuration there are no newer ones.
            Look::Not(_) if seen.is_some() && self.is_inline() => return Ok(None),
            Look::Not(why) => return Err(Unavailable::settled(why)),
            Look::Wait => {}
        }
        let Ok(_place) = self.bounds.waiting.try_acquire() else {
            return Err(Unavailable::on_its_way("too many requests of the tenant wait for keys"));
        };
        // An error of either kind means that no fetch has ended in time.
        if !matches!(timeout_at(deadline, landed.changed()).await, Ok(Ok(()))) {
            return Err(Unavailable::on_its_way("the issuer's keys did not come in time"));
        }
        let now = self.supply.clock.now_us();
        let state = self.state();
        match state.believed(now, self.supply.pace.stale) {
            Some(keys) if seen.is_none_or(|(seen, _)| !Arc::ptr_eq(seen, keys)) => Ok(Some(Arc::clone(keys))),
            _ => {
                drop(state);
                self.settled(seen.is_some(), "the issuer's keys could not be fetched")
            }
        }
    }

    /// The answer where no newer keys came: nothing newer, unless it is the provider that failed.
    fn settled(&self, newer: bool, why: &'static str) -> Result<Option<SharedKeys>, Unavailable> {
        let asked_in_vain = newer && self.state().failures == 0;
        if asked_in_vain { Ok(None) } else { Err(Unavailable::settled(why)) }
    }

    /// Whether the keys stand in the configuration.
    fn is_inline(&self) -> bool {
        matches!(self.issuer.keys, KeySource::Inline(_))
    }

    /// Whether a fetch is due though nobody asks: there are no keys, or they are old. A provider that fails is left alone ever longer.
    pub(super) fn is_due(&self) -> bool {
        let pace = &self.supply.pace;
        let now = self.supply.clock.now_us();
        let state = self.state();
        let old = state.age(now).is_none_or(|age| age >= pace.refresh);
        let rested = state.tried.is_none_or(|tried| since(tried, now) >= state.backoff(pace.backoff, pace.stale / 2));
        old && rested && !state.flying && !self.is_inline() && self.bounds.may_fetch_ahead()
    }

    /// Whether there are keys that are believed, without asking for any.
    #[cfg(test)]
    pub(super) fn has_keys(&self) -> bool {
        self.state().believed(self.supply.clock.now_us(), self.supply.pace.stale).is_some_and(|keys| keys.len() > 0)
    }

    /// Starts a fetch that nobody waits for, unless one is on its way. `place` goes with it.
    pub(super) fn fetch_ahead(self: &Arc<Self>, place: OwnedSemaphorePermit) {
        let mut state = self.state();
        if !state.flying {
            self.fly(&mut state, Some(place));
        }
    }

    /// Looks for keys (newer than `seen`, if that is given) and starts a fetch where one is due.
    fn look(self: &Arc<Self>, seen: Option<(&SharedKeys, Standing)>) -> Look {
        let pace = &self.supply.pace;
        let now = self.supply.clock.now_us();
        let inline = self.is_inline();
        let mut state = self.state();
        let believed = if inline { state.keys.as_ref().map(|(keys, _)| keys) } else { state.believed(now, pace.stale) };
        let keys = believed.filter(|keys| seen.is_none_or(|(seen, _)| !Arc::ptr_eq(seen, keys))).cloned();
        let (wanted, least) = match (&keys, seen) {
            (Some(_), _) => (!inline && state.age(now).is_none_or(|age| age >= pace.refresh), Duration::ZERO),
            (None, Some((_, Standing::Good))) => (!inline, pace.unverified),
            (None, Some((_, Standing::Suspect))) => (!inline, pace.unverified_suspect),
            (None, None) => (!inline, Duration::ZERO),
        };
        let least = least.max(state.backoff(pace.backoff, pace.backoff_max));
        let rested = state.tried.is_none_or(|tried| since(tried, now) >= least);
        if wanted && rested && !state.flying {
            self.fly(&mut state, None);
        }
        match keys {
            Some(keys) => Look::Keys(keys),
            None if state.flying => Look::Wait,
            None => Look::Not("the issuer's keys could not be fetched a moment ago"),
        }
    }

    /// Starts the one fetch. It goes on when those who wait have gone.
    fn fly(self: &Arc<Self>, state: &mut State, place: Option<OwnedSemaphorePermit>) {
        state.flying = true;
        let mut flight = Flight { ring: Arc::clone(self), fetched: Err(FetchError::TimedOut) };
        tokio::spawn(async move {
            let _place = place;
            let fetched = tokio::time::timeout(flight.ring.supply.pace.fetch, flight.ring.fetch()).await;
            flight.brings(fetched.unwrap_or(Err(FetchError::TimedOut)));
        });
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        // The tenant's own place first: whoever has many dead issuers waits here, and takes no place of the others.
        let closed = |_| FetchError::TimedOut;
        let _own = self.bounds.fetching.acquire().await.map_err(closed)?;
        // Then one that nobody else can hold: however many tenants' providers hang, a tenant's first fetch waits for none of them. What a tenant
        // fetches besides comes out of the places of all.
        let _any = tokio::select! {
            biased;
            place = self.bounds.first.acquire() => place,
            place = self.supply.fetches.acquire() => place,
        }
        .map_err(closed)?;
        let jwks = http::for_tenant(&self.bounds.lookups, self.supply.provider.fetch(&self.issuer)).await?;
        KeySet::read(&jwks, &self.issuer, |bytes| self.bounds.keys.charge(bytes))
    }

    /// Takes the result of a fetch in.
    fn land(&self, state: &mut State, fetched: Result<KeySet, FetchError>) {
        let now = self.supply.clock.now_us();
        state.tried = Some(now);
        match fetched {
            Ok(set) => {
                state.failures = 0;
                // The same keys stay the same set: nobody who looks for newer ones tries them again.
                let keys = match state.keys.take() {
                    Some((keys, _)) if keys.same_as(&set) => keys,
                    _ => Arc::new(set),
                };
                state.keys = Some((keys, now));
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let causes = error.causes();
                tracing::warn!(issuer = %self.issuer.id, failures = state.failures, %error, causes, "an issuer's keys could not be fetched");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned state is whole all the same: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The age of the keys. A clock that was set back makes them old, not young.
    fn age(&self, now: u64) -> Option<Duration> {
        self.keys.as_ref().map(|(_, at)| since(*at, now))
    }

    fn believed(&self, now: u64, stale: Duration) -> Option<&SharedKeys> {
        self.keys.as_ref().filter(|(_, at)| since(*at, now) < stale).map(|(keys, _)| keys)
    }

    /// The wait after the failures so far.
    fn backoff(&self, first: Duration, longest: Duration) -> Duration {
        match self.failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(longest),
        }
    }
}

/// The time between two moments, whichever is the later: a clock that jumps back counts as much as one that jumps forward.
fn since(then: u64, now: u64) -> Duration {
    Duration::from_micros(now.abs_diff(then))
}

/// A fetch on its way. However it ends, a panic or a runtime that stops included, it lands: the next one may start, and nobody waits in vain.
struct Flight {
    ring: Arc<Keyring>,
    fetched: Result<KeySet, FetchError>,
}

impl Flight {
    fn brings(&mut self, fetched: Result<KeySet, FetchError>) {
        self.fetched = fetched;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let fetched = std::mem::replace(&mut self.fetched, Err(FetchError::TimedOut));
        let mut state = self.ring.state();
        self.ring.land(&mut state, fetched);
        state.flying = false;
        drop(state);
        self.ring.landed.send_replace(());
    }
}

#[cfg(test)]
mod tests;
