//! Blocked topics and personal data in a request: in its path, its query and its body. Both are always looked for; a topic answers first.

use std::{collections::BTreeSet, sync::Arc};

use bulkhead_content::{Detector, Media, Unscannable};
use bulkhead_tenancy::{guardrail::PiiDetection, policy::TenantPolicy};

use super::Asked;
use crate::{
    attributes::{Attributes, Body},
    offload::Offload,
    verdict::{Denial, Findings, Reason},
};

#[cfg(test)]
mod tests;

/// The largest body that is read at once, in bytes: it costs less than the way to another thread. A compressed one may be larger than it looks.
const AT_ONCE: usize = 4 << 10;

/// Reads a request as the policy of its tenant asks. What is found is kept, also where it denies.
///
/// # Errors
/// `topic`, `pii`; `too_large` or `unreadable` where the body cannot be read and the policy does not let that pass; `unavailable` where it was not
/// read in time.
pub async fn judge(asked: &Asked<'_>, offload: &Offload, findings: &mut Findings) -> Result<(), Denial> {
    let content = &asked.policy.guardrails().content;
    if !content.requests || content.filter.is_empty() {
        return Ok(());
    }
    let work = Work::of(asked.policy, asked.request);
    let seen = if work.is_small() { work.read() } else { offload.run(&asked.caller.tenant.uid, asked.until, move || work.read()).await? };
    let Seen { found, unread } = seen;
    findings.pii.extend(found.pii.iter().copied());
    findings.topics.extend(found.topics.iter().cloned());
    if !found.topics.is_empty() {
        return Err(Denial::new(Reason::Topic, "the request touches a blocked topic"));
    }
    if content.pii == PiiDetection::Block && !found.pii.is_empty() {
        return Err(Denial::new(Reason::Pii, "the request holds personal data"));
    }
    match unread {
        Some(why) => {
            let reason = if why == Unscannable::TooLarge { Reason::TooLarge } else { Reason::Unreadable };
            Err(Denial::new(reason, why.to_string()))
        }
        None => Ok(()),
    }
}

/// What is read, away from the request that it is a part of.
struct Work {
    policy: Arc<TenantPolicy>,
    path: String,
    query: Option<String>,
    types: Vec<Vec<u8>>,
    encodings: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// What was seen.
struct Seen {
    found: bulkhead_content::Found,
    /// Why something could not be read that the policy wants to have been read.
    unread: Option<Unscannable>,
}

impl Work {
    fn of(policy: &Arc<TenantPolicy>, request: &Attributes) -> Self {
        let all = |name| request.headers.all(name).map(<[u8]>::to_vec).collect();
        let body = match &request.body {
            Body::Whole(body) => body.clone(),
            // What is cut or not shown has been refused (S14).
            Body::Absent | Body::Truncated | Body::Unseen => Vec::new(),
        };
        Self {
            policy: Arc::clone(policy),
            path: request.path.clone(),
            query: request.query.clone(),
            types: all("content-type"),
            encodings: all("content-encoding"),
            body,
        }
    }

    /// A tenant's large patterns can make a small body cost as much as a large one: they would hold up every tenant's calls (S5).
    fn is_small(&self) -> bool {
        let is_light = self.policy.guardrails().content.filter.topics().are_light();
        is_light && self.encodings.is_empty() && self.body.len() + self.path.len() + self.query.as_ref().map_or(0, String::len) <= AT_ONCE
    }

    fn read(&self) -> Seen {
        let content = &self.policy.guardrails().content;
        // Whatever ext_proc takes out of the body, it cannot take out of the path.
        let target = content.filter.scan_target(&self.path, self.query.as_deref());
        // Personal data in a body that is rewritten is ext_proc's to find: only what is found there is taken out.
        let rewritten = content.pii == PiiDetection::Redact;
        let filter = if rewritten { content.filter.topics_alone() } else { content.filter.clone() };
        let media = Media::of(self.types.iter().map(Vec::as_slice), self.encodings.iter().map(Vec::as_slice));
        let body = match filter.scan(&media, &self.body) {
            Err(_) if content.allow_unscannable => Ok(filter.glance(&media, &self.body)),
            body => body,
        };
        let mut seen = Seen { found: bulkhead_content::Found::default(), unread: None };
        for part in [target, body] {
            match part {
                Ok(found) => {
                    seen.found.topics.extend(found.topics);
                    seen.found.pii.extend::<BTreeSet<Detector>>(found.pii);
                }
                Err(why) => seen.unread = Some(why),
            }
        }
        seen
    }
}
