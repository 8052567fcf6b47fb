//! A decision as its audit record.

use bulkhead_audit::record::{Action, Actor, Decision as Decided, Event, Findings, Record, Request, Shadow, Whose};
use bulkhead_audit::text::Text;
use bulkhead_ratelimit::charge::Scope;
use bulkhead_tenancy::tenant::Policy;

use super::{Handled, Noted, Processed};
use crate::verdict::{self, Facts, ShadowMark, Verdict};

/// The longest name of a policy, topic or tool in a record, in bytes.
const NAME: usize = 128;

/// The record of a decision. `authorization` with `allow` means that it was authorized: limits come after it, and where they are charged here have a record of
/// their own.
#[must_use]
pub fn record(noted: &Noted<'_>) -> Record {
    let decision = noted.decision;
    let Verdict { outcome, step, facts, charged, .. } = &decision.verdict;
    let Facts { tenant, api, subscription, subject, client, findings, .. } = facts;
    let decided = match outcome {
        Ok(allowed) => Decided { cost: Some(allowed.cost), ..Decided::new("allow") },
        Err(denial) => Decided { status: Some(denial.status), ..Decided::new(denial.reason.name()).because(&denial.detail) },
    };
    let decided = match charged {
        Some(charged) => Decided { cost: Some(charged.cost), scope: charged.scope().map(Scope::as_str), ..decided },
        None => decided,
    };
    let policy = tenant.as_ref().and_then(|tenant| match &tenant.policy {
        Policy::Ready(policy) => Some(policy.hash().as_str().to_owned()),
        Policy::Unavailable(_) => None,
    });
    Record {
        event: if charged.is_some() { Event::Limit } else { Event::Authorization },
        id: Some(Text::bounded(&decision.id, NAME)),
        whose: tenant.as_ref().map(Whose::from),
        request: noted.seen.map(|seen| Request::bounded(&seen.method, &seen.authority, &seen.path)),
        actor: Actor {
            subject: subject.as_deref().map(Actor::claim),
            client: client.as_deref().map(Actor::claim),
            subscription: subscription.as_ref().map(|subscription| subscription.name.to_string()),
            source: noted.seen.and_then(|seen| seen.source),
            operator: None,
        },
        action: Action {
            api: api.as_ref().map(|api| api.name.to_string()),
            mcp: findings.action.as_deref().map(|action| Text::bounded(action, NAME)),
        },
        decision: Some(Decided { step: Some(step.name()), ..decided }),
        found: found(findings),
        shadow: decision.verdict.marks().map(shadowed).collect(),
        generation: decision.generation,
        policy,
        ..Record::default()
    }
}

/// The record of what was done with a body, after its request was authorized.
#[must_use]
pub fn processed(processed: &Processed) -> Record {
    let Facts { tenant, api, findings, .. } = &processed.facts;
    let decided = Decided::new(processed.name());
    Record {
        event: Event::Process,
        id: Some(Text::bounded(&processed.id, NAME)),
        whose: tenant.as_ref().map(Whose::from),
        action: Action { api: api.as_ref().map(|api| api.name.to_string()), mcp: None },
        decision: Some(match &processed.handled {
            Handled::Denied(denial) => Decided { status: Some(denial.status), ..decided.because(&denial.detail) },
            Handled::Unread(why) => decided.because(why),
            Handled::Kept | Handled::Rewritten | Handled::Cut => decided,
        }),
        found: found(findings),
        ..Record::default()
    }
}

fn shadowed(mark: &ShadowMark) -> Shadow {
    let found = mark.found.iter().map(|one| Text::bounded(one, NAME)).collect();
    Shadow { policy: Text::bounded(&mark.policy, NAME), verdict: mark.name(), found }
}

fn found(findings: &verdict::Findings) -> Findings {
    let name = |name: &String| Text::bounded(name, NAME);
    Findings {
        pii: findings.pii.iter().map(|kind| kind.name().into()).collect(),
        topics: findings.topics.iter().map(name).collect(),
        guardrails: findings.rule.iter().map(name).collect(),
    }
}
