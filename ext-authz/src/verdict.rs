//! What was decided about a request, before it is put into Envoy's words. The default of every path is a denial: an allow can only be
//! built from a caller, an API and the obligations that go with them.

mod denial;
mod facts;

use std::{net::IpAddr, ops::BitOr, sync::Arc};

use bulkhead_rules::Prepared;
use bulkhead_tenancy::{api::Api, host::HostName, subscription::Subscription, tenant::Tenant};

pub use self::{
    denial::{Denial, Reason},
    facts::{Facts, Findings, Named, ShadowMark, Would},
};
use crate::{context_token::ContextToken, guardrails::mcp::Shown, limits::Charged, tenant::SignedBy};

/// Who makes the request: proven, never claimed.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant that the credentials prove.
    pub tenant: Arc<Tenant>,
    /// The caller inside the tenant (`sub`), where a token names one.
    pub subject: Option<Arc<str>>,
    /// The client of the token (`azp`, else `client_id`).
    pub client: Option<Arc<str>>,
    /// Roles of the token.
    pub roles: Arc<[String]>,
    /// Scopes of the token.
    pub scopes: Arc<[String]>,
    /// Whether a token verified.
    pub by_token: bool,
    /// From when on that token proves nobody, in seconds since 1970: its `exp`, and its issuer's leeway.
    pub expires: Option<i64>,
    /// The key that it was verified by.
    pub signed_by: Option<SignedBy>,
    /// Whether an API key verified, and the subscription it belongs to.
    pub by_key: Option<Arc<Subscription>>,
}

/// What Envoy and later filters must do because of an allow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Obligations {
    /// Which bodies ext_proc must read.
    pub process: Process,
    /// Where the request goes, with contract routing; absent with the user's own routes (S1).
    pub upstream: Option<Upstream>,
    /// Whether `Authorization` and `X-API-Key` are kept (S13).
    pub forward_credentials: bool,
    /// What the upstream can verify of the decision, where the platform asks for it; signed last, when the decision stands.
    pub context_token: Option<ContextToken>,
    /// What an answer to MCP's `tools/list` may show; ext_proc takes the rest out.
    pub shown: Option<Shown>,
}

/// Which bodies ext_proc must read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Process {
    #[default]
    None,
    Request,
    Response,
    Both,
}

impl Process {
    /// The name in the metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Request => "request",
            Self::Response => "response",
            Self::Both => "both",
        }
    }

    /// What that name stands for.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::None, Self::Request, Self::Response, Self::Both].into_iter().find(|one| one.name() == name)
    }

    /// Whether the request's body is among them.
    #[must_use]
    pub const fn requests(self) -> bool {
        matches!(self, Self::Request | Self::Both)
    }

    /// Whether the answer's body is among them.
    #[must_use]
    pub const fn responses(self) -> bool {
        matches!(self, Self::Response | Self::Both)
    }
}

impl BitOr for Process {
    type Output = Self;

    /// What two guardrails need read, together.
    fn bitor(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, one) | (one, Self::None) => one,
            (Self::Request, Self::Request) => Self::Request,
            (Self::Response, Self::Response) => Self::Response,
            _ => Self::Both,
        }
    }
}

/// Where contract routing sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Which of Envoy's two contract clusters.
    pub cluster: &'static str,
    /// The host.
    pub host: HostName,
    /// The port.
    pub port: u16,
    /// The host's address, once it is known and judged.
    pub address: Option<IpAddr>,
    /// Whether the operator said that the host is reached there.
    pub mapped: bool,
    /// The path to send, query included: the one that was judged, under the contract's base path.
    pub path: String,
}

/// The steps of a decision, as the files are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Step {
    #[default]
    Attributes,
    Tenant,
    Route,
    Guardrails,
    Reply,
    /// The sixth, where limits are charged here; else it is the rate limit service's.
    Limits,
}

impl Step {
    /// The steps of every decision, in order.
    pub const ALL: [Self; 5] = [Self::Attributes, Self::Tenant, Self::Route, Self::Guardrails, Self::Reply];

    /// The file's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attributes => "attributes",
            Self::Tenant => "tenant",
            Self::Route => "route",
            Self::Guardrails => "guardrails",
            Self::Reply => "reply",
            Self::Limits => "limits",
        }
    }
}

/// What was decided.
#[derive(Debug)]
pub struct Verdict {
    /// Allow or deny.
    pub outcome: Result<Allowed, Denial>,
    /// The step that decided: of an allow, the last.
    pub step: Step,
    /// What is recorded about it.
    pub facts: Facts,
    /// What policies in shadow would have denied.
    pub shadow: Vec<ShadowMark>,
    /// What the limiter came to, where limits are charged here and the request came so far.
    pub charged: Option<Charged>,
    /// What the tenant's rules were asked about, if they were, of MCP each message by itself: for `explain` alone, because it holds what the
    /// caller sent.
    pub rule_input: Vec<Prepared>,
}

impl Verdict {
    /// A denial by somebody who knows nothing more: no snapshot, no time left, a fault of our own.
    #[must_use]
    pub fn denied(denial: Denial) -> Self {
        Self {
            outcome: Err(denial),
            step: Step::default(),
            facts: Facts::default(),
            shadow: Vec::new(),
            charged: None,
            rule_input: Vec::new(),
        }
    }

    /// What in shadow is recorded with it: where limits are charged here, the record that a request was authorized has what came before them.
    pub fn marks(&self) -> impl Iterator<Item = &ShadowMark> {
        self.shadow.iter().filter(|mark| (mark.would == Would::Deny(Reason::OverLimit)) == self.charged.is_some())
    }

    /// `allow`, or the reason's name: `verdict` in metadata, metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match &self.outcome {
            Ok(_) => "allow",
            Err(denial) => denial.reason.name(),
        }
    }
}

/// A verdict with what identifies it.
#[derive(Debug)]
pub struct Decision {
    /// What problem bodies, metadata, headers, logs and audit have in common: a UUID of version 7 (RFC 9562), so that it sorts by time.
    pub id: String,
    /// The generation of the one snapshot that decided; absent where there was none.
    pub generation: Option<u64>,
    /// What was decided.
    pub verdict: Verdict,
}

/// An allow.
#[derive(Debug)]
pub struct Allowed {
    /// Who.
    pub caller: Caller,
    /// What it reaches.
    pub api: Arc<Api>,
    /// The subscription that pays, if any.
    pub subscription: Option<Arc<Subscription>>,
    /// What must be done because of it.
    pub obligations: Obligations,
    /// What the request costs at the limiter, at least 1.
    pub cost: u64,
}
