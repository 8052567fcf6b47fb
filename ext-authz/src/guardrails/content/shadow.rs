//! Content filters of policies in shadow: what each would have answered to this request is told, and nothing is denied or rewritten by it, neither
//! because of what it finds nor because it could not look. Answers are not read for it.

use bulkhead_content::Budget;
use bulkhead_tenancy::guardrail::{ContentFilter, PiiDetection, ShadowPolicy};
use tokio::time::Instant;

use super::{Seen, Work, size};
use crate::{
    guardrails::{Asked, body, process},
    offload::Offload,
    verdict::{Denial, Findings, Reason, ShadowMark, Would},
};

/// The most steps of all policies in shadow together, for one request: a part of what those that deny have.
const STEPS: u64 = 1 << 28;

/// Tells what policies in shadow find in a request that the others let pass, and whether a record must not show its path.
pub async fn judge(asked: &Asked<'_>, offload: &Offload, shadow: &mut Vec<ShadowMark>, findings: &mut Findings) {
    if looking(&asked.policy.guardrails().shadow).next().is_none() {
        return;
    }
    let unseen = body::readable(asked.request, asked.declared.body).err();
    let mut marks = Vec::new();
    for (policy, content) in looking(&asked.policy.guardrails().shadow) {
        let undone = || process::declared(process::needed(content), asked.request, asked.declared.process).err();
        if let Some(Denial { reason, .. }) = unseen.clone().or_else(undone) {
            marks.push(ShadowMark::new(&policy.name, Would::Deny(reason)));
        }
    }
    if unseen.is_none() {
        let (read, is_path_clean) = Box::pin(read(asked, offload)).await;
        marks.extend(read);
        findings.hides_path |= !is_path_clean;
    }
    for mark in marks {
        if !shadow.iter().any(|known| known.policy == mark.policy && known.would == mark.would) {
            shadow.push(mark);
        }
    }
}

/// The policies that look into requests.
fn looking(shadow: &[ShadowPolicy]) -> impl Iterator<Item = (&ShadowPolicy, &ContentFilter)> {
    let content = |policy: &ShadowPolicy| policy.content.as_ref().is_some_and(|content| content.requests && !content.filter.is_empty());
    shadow.iter().filter(move |policy| content(policy)).filter_map(|policy| Some((policy, policy.content.as_ref()?)))
}

async fn read(asked: &Asked<'_>, offload: &Offload) -> (Vec<ShadowMark>, bool) {
    let tenant = &asked.caller.tenant.uid;
    let unread =
        || looking(&asked.policy.guardrails().shadow).map(|(policy, _)| ShadowMark::new(&policy.name, Would::Deny(Reason::Unavailable)));
    let Ok(hold) = offload.hold(tenant, size(asked.request)) else { return (unread().collect(), false) };
    // What comes behind a verdict has the other half of the time.
    let now = Instant::now();
    let until = now + asked.until.saturating_duration_since(now) / 2;
    let work = Work::of(asked.policy, asked.request);
    let look = move || {
        let budget = Budget::new(STEPS).until(until.into_std()).giving_way().within(&hold);
        let seen = looking(&work.policy.guardrails().shadow).map(|(policy, content)| (policy, content, work.read(content, true, &budget)));
        let mut is_path_clean = true;
        let marks = seen.filter_map(|(policy, content, seen)| {
            is_path_clean &= seen.is_path_clean;
            mark(policy, content, seen)
        });
        (marks.collect(), is_path_clean)
    };
    offload.run(tenant, until, look).await.unwrap_or_else(|_| (unread().collect(), false))
}

/// What a policy would have done about what was seen.
fn mark(policy: &ShadowPolicy, content: &ContentFilter, Seen { found, unread, .. }: Seen) -> Option<ShadowMark> {
    let would = match (content.pii, unread) {
        _ if !found.topics.is_empty() => Would::Deny(Reason::Topic),
        (PiiDetection::Block, _) if !found.pii.is_empty() => Would::Deny(Reason::Pii),
        (_, Some(why)) => Would::Deny(Denial::from(why).reason),
        (PiiDetection::Redact, None) if !found.pii.is_empty() => Would::Redact,
        (PiiDetection::Detect, None) if !found.pii.is_empty() => Would::Detect,
        _ => return None,
    };
    let kinds = found.pii.iter().map(|kind| kind.name().to_owned());
    Some(ShadowMark { found: kinds.chain(found.topics).collect(), ..ShadowMark::new(&policy.name, would) })
}
