//! The limiter's verdict on record. Whoever charges the limits records their verdict: ext-authz's record says only that the request was
//! authorized.

use std::sync::Arc;

use bulkhead_audit::{
    audit::{Audit as Streams, Whom},
    keep::About,
    record::{Action, Actor, Decision, Event, Record, Shadow, Whose},
    refused::Refused,
    text::Text,
};
use bulkhead_tenancy::{api::Audit, platform::Platform, tenant::Policy};
use tokio::time::Instant;

use super::request::Asked;
use crate::{
    charge::{Part, Scope},
    limiter::Ruling,
};

/// What was decided, as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    OverLimit(Scope),
    Unavailable,
}

impl Verdict {
    pub(super) fn of(ruling: &Ruling) -> Self {
        match ruling {
            Ruling::Exact(outcome) | Ruling::Local(outcome) => outcome.denial().map_or(Self::Allow, |denial| Self::OverLimit(denial.scope)),
            Ruling::Open => Self::Allow,
            Ruling::Unavailable => Self::Unavailable,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::OverLimit(_) => "over_limit",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The longest name of a policy.
const NAME: usize = 256;

/// Puts verdicts on record, as each API's `audit` asks.
#[derive(Default)]
pub(super) struct Records(Option<Arc<Streams>>);

impl Records {
    pub(super) fn on(streams: Arc<Streams>) -> Self {
        Self(Some(streams))
    }

    /// Puts a verdict on record. It is not answered before that is done.
    ///
    /// # Errors
    /// `audit: full`, and there is no record of it: it must not be answered.
    pub(super) async fn keep(&self, asked: &Asked<'_>, platform: &Platform, ruling: &Ruling, until: Instant) -> Result<(), Refused> {
        let Some(streams) = &self.0 else {
            return if asked.audit() == Audit::Full { Err(Refused::Nowhere) } else { Ok(()) };
        };
        let (verdict, shadowed) = (Verdict::of(ruling), ruling.shadowed());
        let tenant = asked.tenant_shared();
        let stream = || streams.stream(platform, tenant.map_or(Whom::Unresolved, Whom::Tenant));
        // ext-authz's configuration is newer than this one: it may say that all of it is to be recorded.
        let audit = if asked.is_unknown() && stream().is_some() { Audit::Full } else { asked.audit() };
        let about = |verdict: Verdict| About {
            tenant,
            id: asked.decision().unwrap_or_default(),
            denied: match verdict {
                Verdict::Allow => (!shadowed.is_empty()).then_some("shadow"),
                _ => Some(verdict.name()),
            },
        };
        let kept = streams.keep(audit, about(verdict), stream, || record(asked, verdict, shadowed)).until(until).await;
        if let Err(refused) = &kept {
            let answered = Verdict::Unavailable;
            streams.unkept(refused, about(answered), stream, || record(asked, answered, &[]));
        }
        kept
    }
}

fn record(asked: &Asked<'_>, verdict: Verdict, shadowed: &[Arc<str>]) -> Record {
    let tenant = asked.tenant_shared();
    let cost = asked.charge().parts().iter().map(Part::cost).fold(0, u64::saturating_add);
    let (status, scope) = match verdict {
        Verdict::Allow => (None, None),
        Verdict::OverLimit(scope) => (Some(429), Some(scope.as_str())),
        Verdict::Unavailable => (Some(503), None),
    };
    let policy = tenant.and_then(|tenant| match &tenant.policy {
        Policy::Ready(policy) => Some(policy.hash().as_str().to_owned()),
        Policy::Unavailable(_) => None,
    });
    Record {
        event: Event::Limit,
        id: asked.decision().map(|id| Text::bounded(id, 128)),
        whose: tenant.map(Whose::from),
        actor: Actor { subscription: asked.subscription().map(str::to_owned), ..Actor::default() },
        action: Action { api: asked.api().map(str::to_owned), mcp: None },
        decision: Some(Decision { status, scope, cost: Some(cost), ..Decision::new(verdict.name()) }),
        shadow: shadowed
            .iter()
            .map(|policy| Shadow { policy: Text::bounded(policy, NAME), verdict: "over_limit", found: Vec::new() })
            .collect(),
        generation: Some(asked.generation()),
        policy,
        ..Record::default()
    }
}

#[cfg(test)]
mod tests;
