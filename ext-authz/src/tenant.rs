//! The second step: whose request is it? The token's issuer leads to the one tenant that owns it, that issuer's keys verify the token, and
//! what the request addresses must be that tenant (S19, S22).
//!
//! Status, roles and subscriptions are judged later: this step only proves who is there.

mod api_key;
mod claims;
mod compartment;
mod failures;
mod flight;
pub mod foreign;
mod keys;
mod presented;
mod proof;
mod signed_by;
mod token;
mod verified;

use std::{net::IpAddr, sync::Arc, time::Duration};

use bulkhead_tenancy::{
    clock::Clock,
    snapshot::{Live, Snapshot},
    tenant::{Policy, Tenant},
};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    offload::{Offload, Room},
    purse::{Allowance, Purse},
    verdict::{Caller, Denial, Reason},
};

pub use crate::shares::Shares;
pub use compartment::Caps;
pub use keys::{Ahead, FetchError, HttpBounds, HttpKeys, KeyProvider, Pace};
pub use presented::Presented;
pub use signed_by::{KeysInForce, SignedBy};

use api_key::KeyProof;
use compartment::Compartments;
use failures::{Counters, Source, Unresolved};
use keys::{Standing, Supply};
use presented::Credentials;
use proof::Unproven;
use verified::{Verified, VerifiedTokens};

/// What the request addresses, as far as the unproven side goes (S20).
#[derive(Debug, Clone, Copy)]
pub struct Addressed<'a> {
    /// The tenant's name that host, path or context name, whether or not such a tenant exists; absent: the credentials alone name it.
    pub name: Option<&'a str>,
    /// Whether host, path and context agree.
    pub consistent: bool,
}

impl Addressed<'_> {
    /// Whether a request that is addressed like this may be the tenant's.
    fn agrees_with(self, tenant: &Tenant) -> bool {
        self.consistent && self.name.is_none_or(|name| name == tenant.name.as_str())
    }
}

/// Who sends a request, as far as the connection tells, and how long it may take to prove who it is.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    /// The address that Envoy saw; without one, failures are counted by name alone, since all requests without a source would otherwise
    /// close the door on each other.
    pub source: Option<IpAddr>,
    /// When the answer is due. What could not be proven until then is answered by what the request addresses (S22): a time-out further
    /// out, which knows nothing of that, would tell everybody whose keys are slow to come.
    pub until: Instant,
}

/// A request that nobody was proven for, or that addresses somebody else.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What is answered and logged.
    pub denial: Denial,
    /// The tenant whose credentials verified all the same (a token at a foreign address): its audit stream takes the record, nobody else's.
    pub proven: Option<Arc<Tenant>>,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self { denial, proven: None }
    }
}

/// So many signatures wait for one thread before another is woken.
const AHEAD: usize = 8;

/// How much identity may wait, fetch and hold. The defaults fit a Check that Envoy gives 250 ms.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The longest that one request waits, for keys and for its turn together.
    pub wait: Duration,
    /// How often keys are fetched and how long they are believed.
    pub pace: Pace,
    /// What each tenant may use.
    pub caps: Caps,
    /// Key fetches of all tenants at a time, beside one for each tenant.
    pub fetches: usize,
    /// First-sight verifications of all tenants that run at a time.
    pub verifications: usize,
    /// Time of I/O threads that first-sight verifications and other small work of all tenants may take.
    pub at_once: Allowance,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wait: Duration::from_millis(150),
            pace: Pace::default(),
            caps: Caps::default(),
            fetches: 256,
            verifications: 32,
            at_once: Allowance::of_all(),
        }
    }
}

/// Everything that proving needs beside the snapshot: key sets, verified tokens, failure counts, caps.
pub struct Identity {
    clock: Arc<dyn Clock>,
    wait: Duration,
    compartments: Arc<Compartments>,
    verified: VerifiedTokens,
    verifications: Offload,
    by_source: Counters,
    by_name: Counters,
    /// Tokens that nobody could check, by source and the tenant that they say they are of.
    unchecked: Counters,
    unresolved: Unresolved,
}

impl Identity {
    /// An identity step with nothing cached yet.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, provider: Arc<dyn KeyProvider>) -> Self {
        let fetches = Arc::new(Semaphore::new(settings.fetches));
        let supply = Supply { provider, clock: Arc::clone(&clock), pace: settings.pace, fetches };
        let Caps { verifying, first_sights, at_once, .. } = settings.caps;
        let room = Room { places: settings.verifications, each: verifying, waiting: first_sights, queued: 0, ahead: AHEAD, at_once };
        Self {
            clock,
            wait: settings.wait,
            compartments: Arc::new(Compartments::new(settings.caps, supply)),
            verified: VerifiedTokens::new(),
            verifications: Offload::new(room).sharing(Arc::new(Purse::full(settings.at_once))),
            by_source: Counters::new(),
            by_name: Counters::new(),
            unchecked: Counters::new(),
            unresolved: Unresolved::new(),
        }
    }

    /// The keys of all issuers, for whoever must know of a token that was proven whether it still would be.
    #[must_use]
    pub fn keys_in_force(&self) -> KeysInForce {
        KeysInForce::of(&self.compartments)
    }

    /// The time of I/O threads that is left for all tenants: for whoever else spends of it.
    #[must_use]
    pub fn at_once(&self) -> &Arc<Purse> {
        self.verifications.shared()
    }

    /// Proves who makes a request.
    ///
    /// # Errors
    /// `too_many_failures`, `no_credentials`, `invalid_token`, `wrong_tenant` or `unavailable`.
    pub async fn identify(
        &self,
        snapshot: &Arc<Snapshot>,
        presented: &Presented<'_>,
        addressed: Addressed<'_>,
        sender: Sender,
    ) -> Result<Caller, Refusal> {
        self.compartments.sweep(snapshot);
        let source = sender.source.map(Source::of);
        let limits = snapshot.platform().auth_failures;
        if let Some(wait) = source.and_then(|source| self.by_source.closed(source, limits.per_source_minute, self.clock.now_us())) {
            return Err(too_many("too many failed authentications of the source", wait).into());
        }
        let deadline = (Instant::now() + self.wait).min(sender.until);
        let asking = Asking { source, deadline };
        let failure = match self.prove(snapshot, presented, addressed, asking).await {
            Ok(caller) => return Ok(caller),
            Err(failure) => failure,
        };
        Err(self.answer(failure, snapshot, addressed, source))
    }

    async fn prove(
        &self,
        snapshot: &Arc<Snapshot>,
        presented: &Presented<'_>,
        addressed: Addressed<'_>,
        asking: Asking,
    ) -> Result<Caller, Failure> {
        let credentials = Credentials::read(presented).map_err(|denial| Failure { refusal: denial.into(), signed: false })?;
        let key = credentials.api_key.map(|key| api_key::prove(key, snapshot, addressed));
        if matches!(key, Some(KeyProof::Nobody)) {
            return Err(Failure::invalid("an API key that nobody has"));
        }
        let token = match credentials.token {
            None => None,
            Some(text) => match self.prove_token(text, snapshot, asking).await {
                Ok(proven) => Some(proven),
                Err(Unproven::Unfit(why)) => return Err(Failure::invalid(why)),
                Err(Unproven::Signed(why)) => return Err(Failure { signed: true, ..Failure::invalid(why) }),
                Err(Unproven::Unchecked(tenant, why)) => {
                    if let Some(source) = asking.source {
                        let a_minute = snapshot.platform().auth_failures.per_source_minute;
                        self.unchecked.count((source, &tenant.uid), a_minute, self.clock.now_us());
                    }
                    let agree = addressed.agrees_with(&tenant) && key.is_none_or(|key| key.tenant().is_some_and(|of| of.uid == tenant.uid));
                    // That a tenant's keys are unavailable is its own affair: a foreign address learns nothing of it (S22).
                    return Err(if agree { Failure::unavailable(why) } else { Failure::invalid(why) });
                }
            },
        };
        // That a tenant's API keys cannot be looked up is its own affair, too.
        if let (Some((tenant, _)), Some(KeyProof::Unchecked(_))) = (&token, &key) {
            at_home(addressed, tenant)?;
        }
        let caller = join(token, key)?;
        at_home(addressed, &caller.tenant)?;
        Ok(caller)
    }

    /// Counts a failure, and answers 429 in its place where there were too many (S5). A request whose credentials verify never comes here.
    fn answer(&self, failure: Failure, snapshot: &Snapshot, addressed: Addressed<'_>, source: Option<Source>) -> Refusal {
        let now = self.clock.now_us();
        let platform = snapshot.platform();
        let limits = platform.auth_failures;
        let Failure { refusal, signed } = failure;
        if matches!(refusal.denial.reason, Reason::InvalidToken | Reason::WrongTenant) {
            if let Some(source) = source {
                self.by_source.count(source, limits.per_source_minute, now);
            }
            if let Some(name) = addressed.name {
                if let Some(wait) = self.by_name.closed(name, limits.per_tenant_minute, now) {
                    let denial = too_many("too many failed authentications at the addressed name", wait);
                    return Refusal { denial, ..refusal };
                }
                self.by_name.count(name, limits.per_tenant_minute, now);
            }
        }
        // What is under an issuer's own signature has a tenant, expired or not: strangers cannot drown its 401, by which a client
        // learns to renew its token. The rest has none yet, and shares one small bucket.
        let stranger = !signed && refusal.denial.reason != Reason::Unavailable;
        match stranger.then(|| self.unresolved.charge(platform.unresolved, now)).flatten() {
            Some(wait) => too_many("too many requests without a tenant", wait).into(),
            None => refusal,
        }
    }

    /// Fetches the keys of all tenants that are served before they are asked for, for as long as it is polled (S18: slowly, and within each
    /// tenant's own bounds).
    pub fn keep_ahead(&self, ahead: Ahead, live: Live) -> impl Future<Output = ()> + Send + use<> {
        ahead.run(Arc::clone(&self.compartments), live)
    }

    /// How a source stands when a token of it does not verify.
    fn standing(&self, source: Option<Source>) -> Standing {
        match source {
            Some(source) if !self.by_source.failed_lately(source, self.clock.now_us()) => Standing::Good,
            _ => Standing::Suspect,
        }
    }

    /// Whether a source may wait for the tenant's keys. That nobody could check a token is no failure of its source, which may be the address of many; but one that
    /// brought many such tokens waits no more, and takes no place from whoever else waits (S5). What the keys at hand verify passes as ever, and so do tokens
    /// of other tenants.
    fn may_wait(&self, source: Option<Source>, tenant: &Tenant, a_minute: u64) -> bool {
        source.is_none_or(|source| self.unchecked.closed((source, &tenant.uid), a_minute, self.clock.now_us()).is_none())
    }
}

/// Who asks, and until when it may be waited for.
#[derive(Clone, Copy)]
struct Asking {
    source: Option<Source>,
    deadline: Instant,
}

/// A request that proved nobody.
struct Failure {
    refusal: Refusal,
    /// Whether an issuer's signature, or a tenant's key, was right all the same.
    signed: bool,
}

impl Failure {
    fn invalid(why: &'static str) -> Self {
        Self { refusal: Denial::new(Reason::InvalidToken, why).into(), signed: false }
    }

    fn unavailable(why: &'static str) -> Self {
        let denial = Denial { retry_after: Some(1), ..Denial::new(Reason::Unavailable, why) };
        Self { refusal: denial.into(), signed: false }
    }
}

fn too_many(why: &'static str, wait: u64) -> Denial {
    Denial { retry_after: Some(wait), ..Denial::new(Reason::TooManyFailures, why) }
}

/// Refuses a tenant that is not the addressed one.
fn at_home(addressed: Addressed<'_>, tenant: &Arc<Tenant>) -> Result<(), Failure> {
    if addressed.agrees_with(tenant) {
        return Ok(());
    }
    let denial = Denial::new(Reason::WrongTenant, "the address is not the proven tenant's");
    Err(Failure { refusal: Refusal { denial, proven: Some(Arc::clone(tenant)) }, signed: true })
}

/// One caller of all that was presented: it must agree on the tenant and on the subscription (S19).
fn join(token: Option<(Arc<Tenant>, Arc<Verified>)>, key: Option<KeyProof>) -> Result<Caller, Failure> {
    let by_key = match (&token, key) {
        (_, None) => None,
        (Some((tenant, _)), Some(key)) if key.tenant().is_none_or(|of| of.uid != tenant.uid) => {
            return Err(Failure { signed: true, ..Failure::invalid("the token and the API key are of different tenants") });
        }
        (Some(_), Some(KeyProof::Unchecked(_))) => return Err(Failure::unavailable("no policy of the tenant to look the API key up in")),
        (_, Some(KeyProof::Of(tenant, subscription))) => Some((tenant, subscription)),
        (_, Some(_)) => return Err(Failure::invalid("an API key that cannot be looked up")),
    };
    let Some((tenant, verified)) = token else {
        let (tenant, subscription) = by_key.ok_or_else(|| Failure::invalid("nothing was proven"))?;
        let caller = Caller {
            tenant,
            subject: None,
            client: None,
            roles: Arc::default(),
            scopes: Arc::default(),
            by_token: false,
            expires: None,
            signed_by: None,
            by_key: Some(subscription),
        };
        return Ok(caller);
    };
    let claims = &verified.claims;
    if let (Policy::Ready(policy), Some((_, of_key)), Some(client)) = (&tenant.policy, &by_key, &claims.client)
        && policy.subscription_of_client(client).is_some_and(|of_client| of_client.name != of_key.name)
    {
        return Err(Failure { signed: true, ..Failure::invalid("the token and the API key are of different subscriptions") });
    }
    Ok(Caller {
        tenant,
        subject: claims.subject.clone(),
        client: claims.client.clone(),
        roles: Arc::clone(&claims.roles),
        scopes: Arc::clone(&claims.scopes),
        by_token: true,
        expires: Some(claims.expires(&verified.issuer)),
        signed_by: Some(SignedBy::of(&verified)),
        by_key: by_key.map(|(_, subscription)| subscription),
    })
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
