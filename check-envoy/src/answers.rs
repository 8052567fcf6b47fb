//! What callers are told: a denial stays one (S9), and what is set for an upstream does not come back from it (S8).

use bulkhead_proto::contract::header;
use bulkhead_tenancy::tree::Node;

use crate::{
    Findings,
    names::removes,
    view::{View, holds, kind},
};

pub(crate) fn judge(manager: &Node, filters: &[Node], findings: &mut Findings) {
    let replies = manager.get("local_reply_config");
    let others = filters.iter().filter(|filter| matches!(kind(filter), "CustomResponse" | "custom_response"));
    for rewriting in replies.into_iter().chain(others) {
        rewriting.each(&mut |node| {
            // Of a filter the status that it looks for has another name.
            if let Some(status) = node.get("status_code").filter(|status| status.number().is_some_and(|status| status < 400)) {
                let what = "denials are told to callers, and to caches before them, as a success";
                findings.add(status, "S9", what, "set a status of 400 or above, or remove it");
            }
        });
    }
    let removed = |filter: &Node| {
        let mutations = filter.get("typed_config.mutations.response_mutations").map_or(&[][..], View::items);
        !holds(filter, "disabled") && header::IDENTITY.iter().all(|name| mutations.iter().any(|mutation| removes(mutation, name)))
    };
    if !filters.iter().any(removed) {
        let what = "what is set for an upstream alone comes back with its answer, if the upstream says it again";
        let mend = "add response_mutations to the header_mutation filter, as envoy/envoy.yaml does";
        findings.add(manager.get("http_filters").unwrap_or(manager), "S8", what, mend);
    }
}
