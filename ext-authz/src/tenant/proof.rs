//! From a token's text to the tenant that it proves.

use std::sync::Arc;

use bulkhead_tenancy::{issuer::Issuer, name::TenantUid, snapshot::Snapshot, tenant::Tenant};
use tokio::time::{Instant, timeout_at};

use super::{
    Asking, Identity,
    compartment::Compartment,
    keys::{Keyring, SharedKeys, Standing, Unavailable},
    token::{Signed, UnverifiedToken},
    verified::{TokenHash, Verified},
};
use crate::offload::Undone;

/// Why a token proves nobody; the texts are for the operator.
pub(super) enum Unproven {
    /// No signature that one of our issuers made.
    Unfit(&'static str),
    /// An issuer's own signature over claims that do not stand.
    Signed(&'static str),
    /// It says that it is of this tenant, and nobody could check that now.
    Unchecked(Arc<Tenant>, &'static str),
}

/// Whose keys a token is verified by, and how long that may take.
#[derive(Clone, Copy)]
struct Sought<'a> {
    tenant: &'a TenantUid,
    standing: Standing,
    /// Whether keys that are on their way may be waited for.
    patient: bool,
    deadline: Instant,
}

impl Sought<'_> {
    /// Until when keys may be waited for.
    fn keys_by(&self) -> Instant {
        if self.patient { self.deadline } else { Instant::now() }
    }
}

/// Why a token is refused that was checked: good for everybody who presents it at this moment.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    /// See [`Unproven::Unfit`].
    Unfit(&'static str),
    /// See [`Unproven::Signed`].
    Signed(&'static str),
}

impl From<Refused> for Unproven {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unfit(why) => Self::Unfit(why),
            Refused::Signed(why) => Self::Signed(why),
        }
    }
}

impl Identity {
    /// Proves a token: by what is remembered, else by its signature.
    pub(super) async fn prove_token(
        &self,
        text: &str,
        snapshot: &Snapshot,
        asking: Asking,
    ) -> Result<(Arc<Tenant>, Arc<Verified>), Unproven> {
        let hash = TokenHash::of(text);
        if let Some(remembered) = self.remembered(hash, snapshot) {
            return remembered;
        }
        // On the heap: what first sight needs would be moved with the future of every request.
        Box::pin(self.prove_anew(hash, text, snapshot, asking)).await
    }

    /// Proves a token that is not remembered.
    async fn prove_anew(
        &self,
        hash: TokenHash,
        text: &str,
        snapshot: &Snapshot,
        asking: Asking,
    ) -> Result<(Arc<Tenant>, Arc<Verified>), Unproven> {
        let token = UnverifiedToken::read(text).map_err(|malformed| Unproven::Unfit(malformed.why()))?;
        let (tenant, issuer) = snapshot.by_issuer(token.issuer()).ok_or(Unproven::Unfit("an issuer that no tenant has"))?;
        let compartment = self.compartments.of(&tenant.uid);
        // A suspect's token is refused where for others a new key is looked for: its outcome is for suspects alone.
        // So is that of whoever does not wait.
        let standing = self.standing(asking.source);
        let patient = self.may_wait(asking.source, tenant, snapshot.platform().auth_failures.per_source_minute);
        let about = (hash, standing, patient);
        let sought = Sought { tenant: &tenant.uid, standing, patient, deadline: asking.deadline };
        let first_sight = self.first_sight(hash, token, tenant, issuer, &compartment, sought);
        let verified = match timeout_at(asking.deadline, compartment.flights.join(about, first_sight)).await {
            Ok(settled) => settled?.map_err(Unproven::from)?,
            Err(_) => return Err(Unproven::Unchecked(Arc::clone(tenant), "the token could not be verified in time")),
        };
        if !verified.is_of(tenant, issuer) {
            // Somebody else verified it under another snapshot.
            return Err(Unproven::Unchecked(Arc::clone(tenant), "the issuer's configuration changes at this moment"));
        }
        verified.claims.stand(tenant, issuer, self.clock.now_s()).map_err(|unfit| Unproven::Signed(unfit.why()))?;
        Ok((Arc::clone(tenant), verified))
    }

    /// Verifies a token that is not remembered, and remembers it if it stands.
    async fn first_sight(
        &self,
        hash: TokenHash,
        token: UnverifiedToken,
        tenant: &Arc<Tenant>,
        issuer: &Arc<Issuer>,
        compartment: &Compartment,
        sought: Sought<'_>,
    ) -> Result<Result<Arc<Verified>, Refused>, Unproven> {
        let unchecked = |Unavailable { why, .. }| Unproven::Unchecked(Arc::clone(tenant), why);
        let ring = self.compartments.ring(compartment, issuer);
        let signed = self.signed(Arc::new(token), &ring, sought).await.map_err(unchecked)?;
        let Some(signed) = signed else { return Ok(Err(Refused::Unfit("no key of the issuer verifies the signature"))) };
        let now = self.clock.now_s();
        let claims = signed.claims(issuer).and_then(|claims| claims.stand(tenant, issuer, now).map(|()| claims));
        let claims = match claims {
            Ok(claims) => claims,
            Err(unfit) => return Ok(Err(Refused::Signed(unfit.why()))),
        };
        let (name, tenant, issuer) = (tenant.name.clone(), tenant.uid.clone(), Arc::clone(issuer));
        let verified = Arc::new(Verified { name, tenant, issuer, key: signed.key, claims, ring });
        self.verified.insert(hash, &verified, &compartment.bounds.tokens, now);
        Ok(Ok(verified))
    }

    /// What is remembered of a token, if its tenant, issuer and key still are what they were: a key that the issuer withdrew stops its tokens
    /// at the next refresh of the keys, at the latest after [`super::Pace::stale`] (S23).
    #[expect(clippy::type_complexity, reason = "absent, or the same result as proving anew")]
    fn remembered(&self, hash: TokenHash, snapshot: &Snapshot) -> Option<Result<(Arc<Tenant>, Arc<Verified>), Unproven>> {
        let verified = self.verified.get(&hash)?;
        let (tenant, issuer) = match verified.found_in(snapshot) {
            Some(found) if verified.ring.current()?.holds(verified.key) => found,
            _ => {
                self.verified.forget(&hash);
                return None;
            }
        };
        if let Err(unfit) = verified.claims.stand(tenant, issuer, self.clock.now_s()) {
            self.verified.forget(&hash);
            return Some(Err(Unproven::Signed(unfit.why())));
        }
        Some(Ok((Arc::clone(tenant), verified)))
    }

    /// The claims under one of the issuer's keys. Where none of the set verifies the token, newer ones are asked for, once: its key may be
    /// new, under a new `kid` or an old one.
    async fn signed(&self, token: Arc<UnverifiedToken>, ring: &Arc<Keyring>, sought: Sought<'_>) -> Result<Option<Signed>, Unavailable> {
        let keys = ring.keys(sought.keys_by()).await?;
        let known = token.has_candidate(&keys);
        if known && let Some(signed) = self.verify(&token, &keys, sought).await? {
            return Ok(Some(signed));
        }
        let newer = match ring.newer_than(&keys, sought.standing, sought.keys_by()).await {
            Ok(newer) => newer,
            // A signature that is wrong by a key that is there is forged until something else is known. Only whoever did not wait for an answer that is on its way
            // knows nothing of it, and is refused as unchecked; where none is, a forgery is a failure of its source like anybody's (S5).
            Err(unavailable) if known && (sought.patient || !unavailable.on_its_way) => None,
            Err(unavailable) => return Err(unavailable),
        };
        match newer {
            Some(newer) => self.verify(&token, &newer, sought).await,
            None => Ok(None),
        }
    }

    /// Verifies. A signature of a usual key costs 30 to 50 microseconds: the first ones of a tenant are verified here, by the I/O thread; a flood of them, and
    /// what larger keys or several of them take, waits off these
    /// threads for places of the tenant's own and of all (S5), and keeps nobody else waiting. So does whatever a source brings that failed lately.
    async fn verify(&self, token: &Arc<UnverifiedToken>, keys: &SharedKeys, sought: Sought<'_>) -> Result<Option<Signed>, Unavailable> {
        let Sought { tenant, standing, deadline, .. } = sought;
        let (token, keys) = (Arc::clone(token), Arc::clone(keys));
        let here = standing == Standing::Good && token.is_cheap(&keys);
        let work = move || token.verify(&keys);
        let work = match here {
            false => work,
            true => match self.verifications.at_once(tenant, work) {
                Ok(signed) => return Ok(signed),
                Err(work) => work,
            },
        };
        self.verifications.run(tenant, deadline, work).await.map_err(|undone| {
            Unavailable::settled(match undone {
                Undone::Crowded => "too many first-sight tokens of the tenant",
                Undone::Late => "the token's turn to be verified did not come in time",
                Undone::Broke => "the verification failed",
            })
        })
    }
}
