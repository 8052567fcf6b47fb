//! What stands on record of a decision, whatever it came to.

use std::{collections::BTreeSet, sync::Arc};

use bulkhead_content::Unscannable;
use bulkhead_tenancy::{api::Api, guardrail::Detector, subscription::Subscription, tenant::Tenant};

use super::Reason;

/// What is recorded of a decision: known as far as the judgement came. A tenant stands here only once it is proven.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The proven tenant.
    pub tenant: Option<Arc<Tenant>>,
    /// The API, once it is resolved in that tenant's contract.
    pub api: Option<Arc<Api>>,
    /// The subscription.
    pub subscription: Option<Arc<Subscription>>,
    /// The caller inside the tenant.
    pub subject: Option<Arc<str>>,
    /// The client of the token (`azp`, else `client_id`).
    pub client: Option<Arc<str>>,
    /// What the request names, once its host and path are read.
    pub named: Option<Named>,
    /// What guardrails found.
    pub findings: Findings,
}

/// What a request names, before anybody has proven anything: no tenant or API need have that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The tenant.
    pub tenant: Option<String>,
    /// The API.
    pub api: Option<String>,
    /// Whether all that name something agree (S20).
    pub agree: bool,
}

/// What guardrails found in a request: kinds and names that policies gave, never a value out of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Kinds of personal data that are in it.
    pub pii: BTreeSet<Detector>,
    /// Labels of blocked topics that it touches.
    pub topics: BTreeSet<String>,
    /// Why something that a policy looks into could not be read.
    pub unread: Option<Unscannable>,
    /// Something of it stands in the path, or may: a record does not show that then.
    pub hides_path: bool,
    /// The policy whose rule denied.
    pub rule: Option<String>,
    /// What is done over MCP: the method, and of `tools/call` the tool if the tenant has one of that name.
    pub action: Option<String>,
}

/// What a policy in shadow would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowMark {
    /// The policy in shadow.
    pub policy: String,
    /// Which answer it would have given, or what it would have done besides.
    pub would: Would,
    /// What it found: kinds of personal data and labels of topics.
    pub found: Vec<String>,
}

/// What would have been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Would {
    /// The request would have been denied.
    Deny(Reason),
    /// Personal data would have been taken out.
    Redact,
    /// Personal data would have been counted.
    Detect,
}

impl ShadowMark {
    /// What a policy would have done, with nothing that it found.
    #[must_use]
    pub fn new(policy: &str, would: Would) -> Self {
        Self { policy: policy.to_owned(), would, found: Vec::new() }
    }

    /// The name in metrics and audit.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.would {
            Would::Deny(reason) => reason.name(),
            Would::Redact => "redact",
            Would::Detect => "detect",
        }
    }
}
