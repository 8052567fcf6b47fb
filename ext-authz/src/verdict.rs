//! What was decided about a request, before it is put into Envoy's words. The default of every path is a denial: an allow can only be
//! built from a caller, an API and the obligations that go with them.

use std::{borrow::Cow, collections::BTreeSet, ops::BitOr, sync::Arc};

use bulkhead_content::Unscannable;
use bulkhead_rules::Prepared;
use bulkhead_tenancy::{api::Api, guardrail::Detector, host::HostName, subscription::Subscription, tenant::Tenant};

use crate::{context_token::ContextToken, guardrails::mcp::Shown, limits::Charged};

/// Why a request is denied: the names that problem bodies (`urn:bulkhead:<reason>`), metadata, logs and tests use (SEMANTICS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`name` and `status` say it, and SEMANTICS lists them")]
pub enum Reason {
    BadPath,
    TooManyFailures,
    NoCredentials,
    InvalidToken,
    WrongTenant,
    Suspended,
    UnknownApi,
    Method,
    Subscription,
    Role,
    Rule,
    Tool,
    Topic,
    Pii,
    TooLarge,
    Unreadable,
    Unavailable,
    Loop,
    OverLimit,
}

impl Reason {
    /// The name in problem bodies, metadata and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadPath => "bad_path",
            Self::TooManyFailures => "too_many_failures",
            Self::NoCredentials => "no_credentials",
            Self::InvalidToken => "invalid_token",
            Self::WrongTenant => "wrong_tenant",
            Self::Suspended => "suspended",
            Self::UnknownApi => "unknown_api",
            Self::Method => "method",
            Self::Subscription => "subscription",
            Self::Role => "role",
            Self::Rule => "rule",
            Self::Tool => "tool",
            Self::Topic => "topic",
            Self::Pii => "pii",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
            Self::Loop => "loop",
            Self::OverLimit => "over_limit",
        }
    }

    /// The HTTP status of the answer, where a denial has no other.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadPath | Self::Unreadable => 400,
            Self::NoCredentials | Self::InvalidToken | Self::WrongTenant => 401,
            Self::Suspended | Self::Subscription | Self::Role | Self::Rule | Self::Tool | Self::Topic | Self::Pii => 403,
            Self::UnknownApi => 404,
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::TooManyFailures | Self::OverLimit => 429,
            Self::Unavailable => 503,
            Self::Loop => 508,
        }
    }
}

/// A denial: what the caller sees is the reason alone; what the operator sees is the detail, in logs and audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What the caller is told.
    pub reason: Reason,
    /// With which HTTP status: the reason's own, or another where the table of answers has two.
    pub status: u16,
    /// What the operator is told. It holds no token, key, body or personal data.
    pub detail: Cow<'static, str>,
    /// `Allow` of a 405.
    pub allow: Vec<String>,
    /// Seconds until it is worth trying again, of a 429 or 503.
    pub retry_after: Option<u64>,
}

impl Denial {
    /// A denial with a detail for the operator.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, status: reason.status(), detail: detail.into(), allow: Vec::new(), retry_after: None }
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

impl From<Unscannable> for Denial {
    /// What could have been read, had there been more time or memory, is no fault of the body's.
    fn from(why: Unscannable) -> Self {
        match why {
            Unscannable::TooLarge => Self::new(Reason::TooLarge, why.to_string()),
            _ if why.is_ours() => Self { retry_after: Some(1), ..Self::new(Reason::Unavailable, why.to_string()) },
            _ => Self::new(Reason::Unreadable, why.to_string()),
        }
    }
}

/// Who makes the request: proven, never claimed.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant that the credentials prove.
    pub tenant: Arc<Tenant>,
    /// The caller inside the tenant (`sub`), where a token names one.
    pub subject: Option<String>,
    /// The client of the token (`azp`, else `client_id`).
    pub client: Option<String>,
    /// Roles of the token.
    pub roles: Vec<String>,
    /// Scopes of the token.
    pub scopes: Vec<String>,
    /// Whether a token verified.
    pub by_token: bool,
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
    pub subject: Option<String>,
    /// The client of the token (`azp`, else `client_id`).
    pub client: Option<String>,
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
