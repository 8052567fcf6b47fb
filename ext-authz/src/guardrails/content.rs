//! Blocked topics and personal data in a request: in its path, its query and its body. Both are always looked for; a topic answers first.

use std::{collections::BTreeSet, sync::Arc};

use bulkhead_content::{Budget, Detector, Found, Media, Unscannable, is_plain};
use bulkhead_tenancy::{
    guardrail::{ContentFilter, PiiDetection},
    policy::TenantPolicy,
};
use prost::bytes::Bytes;

use super::Asked;
use crate::{
    attributes::{Attributes, Body},
    offload::{Offload, Undone, small::is_small},
    verdict::{Denial, Findings, Process, Reason},
};

pub mod shadow;
#[cfg(test)]
mod tests;

/// Reads a request as the policy of its tenant asks. What is found is kept, also where it denies.
///
/// # Errors
/// `topic`, `pii`; `too_large` or `unreadable` where the body cannot be read and the policy does not let that pass; `unavailable` where it was not
/// read in time, or takes too much.
pub async fn judge(asked: &Asked<'_>, process: Process, offload: &Offload, findings: &mut Findings) -> Result<(), Denial> {
    let content = &asked.policy.guardrails().content;
    if !content.requests || content.filter.is_empty() {
        return Ok(());
    }
    // Until it is known what the path says, no record shows it.
    findings.hides_path = true;
    let Seen { found, unread, is_path_clean } = Box::pin(seen(asked, offload)).await?;
    findings.hides_path = !is_path_clean;
    // Of a body that Envoy may have altered nothing is certain but what was found: ext_proc reads it as it is, or nobody does.
    let unread = match asked.request.body {
        Body::Doubtful(_) if process.requests() => unread.filter(|why| why.is_ours()),
        Body::Doubtful(_) if !content.allow_unscannable => unread.or(Some(Unscannable::Malformed)),
        _ => unread,
    };
    findings.pii.extend(found.pii.iter().copied());
    findings.topics.extend(found.topics.iter().cloned());
    findings.unread = unread;
    if !found.topics.is_empty() {
        return Err(Denial::new(Reason::Topic, "the request touches a blocked topic"));
    }
    if content.pii == PiiDetection::Block && !found.pii.is_empty() {
        return Err(Denial::new(Reason::Pii, "the request holds personal data"));
    }
    unread.map_or(Ok(()), |why| Err(why.into()))
}

async fn seen(asked: &Asked<'_>, offload: &Offload) -> Result<Seen, Undone> {
    let tenant = &asked.caller.tenant.uid;
    let hold = match offload.hold(tenant, size(asked.request)) {
        Ok(hold) => hold,
        Err(why) => return Ok(Seen { found: Found::default(), unread: Some(why), is_path_clean: false }),
    };
    let work = Work::of(asked.policy, asked.request);
    offload.read(asked.turn(), work.is_small(), hold, move |budget| work.enforced(budget)).await
}

/// The bytes of what is read.
fn size(request: &Attributes<'_>) -> usize {
    let body = request.body.bytes().map_or(0, <[u8]>::len);
    body + request.path.len() + request.query.map_or(0, str::len)
}

/// What is read, away from the request that it is a part of.
struct Work {
    policy: Arc<TenantPolicy>,
    path: String,
    query: Option<String>,
    types: Vec<Vec<u8>>,
    encodings: Vec<Vec<u8>>,
    body: Bytes,
}

/// What was seen.
struct Seen {
    found: bulkhead_content::Found,
    /// Why something could not be read that the policy wants to have been read.
    unread: Option<Unscannable>,
    /// Nothing of it stands in the path, which a record may so show.
    is_path_clean: bool,
}

impl Work {
    fn of(policy: &Arc<TenantPolicy>, request: &Attributes<'_>) -> Self {
        let all = |name| request.headers.all(name).map(<[u8]>::to_vec).collect();
        Self {
            policy: Arc::clone(policy),
            path: request.path.to_owned(),
            query: request.query.map(str::to_owned),
            types: all("content-type"),
            encodings: all("content-encoding"),
            // What is cut or not shown has been refused (S14).
            body: request.message.keep(request.body.bytes().unwrap_or_default()),
        }
    }

    /// Reads as the tenant's policies that deny ask for.
    fn enforced(&self, budget: &Budget<'_>) -> Seen {
        self.read(&self.policy.guardrails().content, false, budget)
    }

    fn is_small(&self) -> bool {
        let bytes = self.body.len() + self.path.len() + self.query.as_ref().map_or(0, String::len);
        is_small(&self.policy.guardrails().content.filter, !is_plain(self.encodings.iter().map(Vec::as_slice)), bytes)
    }

    /// Reads as one filter asks for; `whole`: also what is left to ext_proc.
    fn read(&self, content: &ContentFilter, whole: bool, budget: &Budget<'_>) -> Seen {
        // Whatever ext_proc takes out of the body, it cannot take out of the path.
        let path = content.filter.scan_path(&self.path, budget);
        let query = self.query.as_deref().map_or_else(|| Ok(Found::default()), |query| content.filter.scan_query(query, budget));
        // Personal data in a body that is rewritten is ext_proc's to find: only what is found there is taken out.
        let rewritten = content.pii == PiiDetection::Redact;
        let filter = if rewritten && !whole { content.filter.topics_alone() } else { content.filter.clone() };
        let media = Media::of(self.types.iter().map(Vec::as_slice), self.encodings.iter().map(Vec::as_slice));
        let body = match filter.scan(&media, &self.body, budget) {
            Err(why) if content.allow_unscannable && !why.is_ours() => filter.glance(&media, &self.body, budget),
            body => body,
        };
        let is_path_clean = path.as_ref().is_ok_and(|found| *found == Found::default());
        let mut seen = Seen { found: Found::default(), unread: None, is_path_clean };
        for part in [path, query, body] {
            match part {
                Ok(found) => {
                    seen.found.topics.extend(found.topics);
                    seen.found.pii.extend::<BTreeSet<Detector>>(found.pii);
                }
                // What was not read to its end is tried again, or is an answer of its own.
                Err(why) => seen.unread = seen.unread.filter(|known| known.is_ours()).or(Some(why)),
            }
        }
        seen
    }
}
