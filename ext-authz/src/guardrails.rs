//! Step 4: may this caller do this at this API? Each kind of guardrail has a file of its own; here is their order, which is SEMANTICS'
//! Precedence: the first that denies answers.

use std::sync::Arc;

use bulkhead_rules::Prepared;
use bulkhead_tenancy::{
    api::{Api, Protocol},
    policy::TenantPolicy,
    subscription::Subscription,
};
use tokio::time::Instant;

use self::mcp::Shown;
use crate::{
    attributes::Attributes,
    decide::Declared,
    offload::{Crowd, Hold, Offload, Turn},
    purse::Purse,
    verdict::{Caller, Denial, Findings, Process, ShadowMark},
};

pub mod access;
pub mod body;
pub mod content;
pub mod mcp;
pub mod process;
pub mod rules;
pub mod tools;

#[cfg(test)]
mod tests;

/// What is judged: a request of a proven caller at an API of its own tenant's contract.
pub struct Asked<'a> {
    /// The policy of the caller's tenant.
    pub policy: &'a Arc<TenantPolicy>,
    /// The API in that policy's contract.
    pub api: &'a Arc<Api>,
    /// Who asks.
    pub caller: &'a Caller,
    /// The caller's subscription, if any.
    pub subscription: Option<&'a Arc<Subscription>>,
    /// What is asked.
    pub request: &'a Attributes<'a>,
    /// The path below the API, as it arrived.
    pub path: &'a str,
    /// What Envoy does on this route, by the operator's word (S14).
    pub declared: Declared,
    /// Seconds since 1970.
    pub now: i64,
    /// When the verdict is due; work that was not done until then denies.
    pub until: Instant,
}

impl<'a> Asked<'a> {
    /// The turn of work that is done for it.
    pub(crate) fn turn(&self) -> Turn<'a> {
        Turn { tenant: &self.caller.tenant.uid, until: self.until, crowd: Crowd::Refused }
    }
}

/// What guardrails found out, kept where a denial cannot lose it.
#[derive(Default)]
pub struct Found {
    /// Kinds and names, for audit and metrics.
    pub findings: Findings,
    /// What policies in shadow would have denied.
    pub shadow: Vec<ShadowMark>,
    /// What the tenant's rules were asked about, for who asks why: of MCP each message by itself.
    pub rule_input: Vec<Prepared>,
    /// Room for what was read and is kept until there is a verdict.
    pub held: Vec<Hold>,
}

/// What follows from an allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Which bodies ext_proc must read.
    pub process: Process,
    /// What the request costs at the limiter.
    pub cost: u64,
    /// What an answer to MCP's `tools/list` may show.
    pub shown: Option<Shown>,
}

impl Default for Passed {
    fn default() -> Self {
        Self { process: Process::None, cost: 1, shown: None }
    }
}

/// The guardrails, with what they need beside the policy.
#[derive(Default)]
pub struct Guardrails {
    offload: Arc<Offload>,
}

impl Guardrails {
    /// Guardrails whose small work spends of a purse that others spend of, too.
    #[must_use]
    pub fn sharing(at_once: Arc<Purse>) -> Self {
        Self { offload: Arc::new(Offload::default().sharing(at_once)) }
    }

    /// Where work is done that takes processor time because of what a tenant wrote or sent.
    #[must_use]
    pub fn offload(&self) -> &Arc<Offload> {
        &self.offload
    }

    /// Judges, and says what follows from an allow.
    ///
    /// # Errors
    /// The first guardrail that denies.
    pub async fn judge(&self, asked: &Asked<'_>, found: &mut Found) -> Result<Passed, Denial> {
        access::judge(asked)?;
        tools::judge(asked, &mut found.shadow)?;
        if body::is_read(&asked.policy.guardrails().content, asked.api) {
            body::readable(asked.request, asked.declared.body)?;
        }
        let (mut passed, said) = match asked.api.protocol {
            Protocol::Http => (Passed::default(), None),
            // What few requests need is on the heap: a decision's future is moved whole, several times, before it is first polled.
            Protocol::Mcp => Box::pin(mcp::judge(asked, &self.offload, found)).await.map(|(passed, said)| (passed, Some(said)))?,
        };
        let content = &asked.policy.guardrails().content;
        passed.process = passed.process | process::needed(content) | process::instead(content, asked);
        process::declared(passed.process, asked.request, asked.declared.process)?;
        content::judge(asked, passed.process, &self.offload, &mut found.findings).await?;
        rules::judge(asked, said, &self.offload, found).await?;
        // After all that denies: what it takes of the tenant's time and places, nothing of this request waits for.
        content::shadow::judge(asked, &self.offload, &mut found.shadow, &mut found.findings).await;
        Ok(passed)
    }
}
