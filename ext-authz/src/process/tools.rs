//! MCP's `tools/list` in an answer on its way: only the tools that Check found its caller may use.

use bulkhead_content::Budget;
use bulkhead_tenancy::{api::Api, policy::TenantPolicy};

use super::{
    Side,
    reader::{Reader, Reading, Refusal, Representation},
};
use crate::{
    guardrails::{
        mcp::{READ_AT_ONCE, Shown, list},
        tools,
    },
    json,
    verdict::{Denial, Reason},
};

/// Reads the answer of a request that asked for a list of tools.
pub struct ToolsList(Shown);

impl ToolsList {
    /// What Check told, less what the policy as it stands now does not let any caller use (S14).
    #[must_use]
    pub fn of(told: &Shown, policy: &TenantPolicy, api: &Api) -> Self {
        Self(told.only(|wire| policy.tool(&api.name, wire).is_some_and(|tool| tools::is_held(policy, api, tool))))
    }
}

impl Reader for ToolsList {
    fn is_light(&self, _: &Representation, bytes: usize) -> bool {
        bytes <= READ_AT_ONCE
    }

    fn read(&self, representation: &Representation, body: &[u8], budget: &Budget<'_>) -> Result<Reading, Refusal> {
        let unreadable = |detail| Refusal::new(Side::Response, Denial::new(Reason::Unreadable, detail));
        // The upstream was told to use none: `Accept-Encoding` was removed on the way to it.
        if representation.is_coded() {
            return Err(unreadable("a list of tools came with a content encoding".to_owned()));
        }
        budget.hold(json::weight(body)).map_err(|why| Refusal::unread(Side::Response, why))?;
        match list::filter(&self.0, representation, body) {
            Ok(seen) => Ok(Reading { body: Some(seen).filter(|seen| seen != body), ..Reading::default() }),
            Err(unlisted) => Err(unreadable(unlisted.to_string())),
        }
    }
}
