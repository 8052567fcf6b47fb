//! What is recorded, field by field. It holds no token, key, body or query, by having no place for one.
//!
//! Personal data: a record names who acted (`subject`, `client`, `source`) because that is what it is for. It therefore lives in the region of
//! its tenant and nowhere else; logs, metrics and other tenants' streams never get these fields. The query of a request is left out whole, a
//! hash of it too: short secrets can be found from their hash.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use bulkhead_tenancy::tenant::Tenant;
use serde::{Serialize, Serializer};

use crate::{
    chain::LONGEST_LINE,
    merge::Merged,
    text::{self, Text},
};

/// One record, without its place in a chain.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// The decision's id, which answers, metadata and headers carry too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Text>,
    /// Whose it is; absent while no tenant is proven.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub whose: Option<Whose>,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// Who asked.
    #[serde(skip_serializing_if = "Actor::is_unknown")]
    pub actor: Actor,
    /// What they wanted to do.
    #[serde(skip_serializing_if = "Action::is_unknown")]
    pub action: Action,
    /// What was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What the guardrails found.
    #[serde(skip_serializing_if = "Findings::is_empty")]
    pub found: Findings,
    /// What policies in shadow would have denied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<Shadow>,
    /// The generation of the snapshot that decided: a number of one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The hash of the tenant's policy content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The denials that this record stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merged: Option<Merged>,
    /// An operator's action on a counter, and what became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The authorizer decided about a request. `allow` means authorized: limits come after it.
    #[default]
    Authorization,
    /// The limiter decided about a request.
    Limit,
    /// A body was read on its way: redacted, blocked, filtered.
    Process,
    /// An operator changed a counter by hand.
    CounterChange,
    /// Denials beyond the rate of single records.
    Merged,
}

/// Whose a record is. The namespace may change hands; the uid never does (S23).
#[derive(Debug, Clone)]
pub struct Whose(Arc<Tenant>);

impl From<&Arc<Tenant>> for Whose {
    fn from(tenant: &Arc<Tenant>) -> Self {
        Self(Arc::clone(tenant))
    }
}

impl Serialize for Whose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Names<'t> {
            tenant: &'t str,
            namespace: &'t str,
            uid: &'t str,
        }

        let Self(tenant) = self;
        Names { tenant: tenant.name.as_str(), namespace: tenant.namespace.as_str(), uid: tenant.uid.as_str() }.serialize(serializer)
    }
}

/// What was asked, as the caller wrote it.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// The method.
    pub method: Text,
    /// Host or `:authority`.
    pub host: Text,
    /// The path, without its query.
    pub path: Text,
}

impl Request {
    /// A request, bounded. What stands after a `?` in the path is left out.
    #[must_use]
    pub fn bounded(method: &str, host: &str, path: &str) -> Self {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Self { method: Text::bounded(method, 32), host: Text::bounded(host, 256), path: Text::bounded(path, 1024) }
    }
}

/// Who asked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Actor {
    /// The caller inside the tenant (`sub`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Text>,
    /// The client (`azp`, else `client_id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Text>,
    /// The subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// An operator, at the admin door.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
}

impl Actor {
    /// A claim of a token, bounded.
    #[must_use]
    pub fn claim(claim: &str) -> Text {
        Text::bounded(claim, 256)
    }

    fn is_unknown(&self) -> bool {
        let Self { subject, client, subscription, source, operator } = self;
        subject.is_none() && client.is_none() && subscription.is_none() && source.is_none() && operator.is_none()
    }
}

/// What they wanted to do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Action {
    /// The API of the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// What was asked over MCP: the method, and of `tools/call` the tool (`tools/call weather-api`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Text>,
}

impl Action {
    fn is_unknown(&self) -> bool {
        self.api.is_none() && self.mcp.is_none()
    }
}

/// What was decided, and for the operator why.
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// `allow`, or the reason's name (SEMANTICS, Names).
    pub verdict: &'static str,
    /// The HTTP status of a denial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The step that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<&'static str>,
    /// The level of a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'static str>,
    /// What was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<u64>,
    /// Why, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Text>,
}

impl Decision {
    /// A verdict and nothing more.
    #[must_use]
    pub fn new(verdict: &'static str) -> Self {
        Self { verdict, status: None, step: None, scope: None, cost: None, detail: None }
    }

    /// The operator's text, bounded.
    #[must_use]
    pub fn because(mut self, detail: &str) -> Self {
        self.detail = Some(Text::bounded(detail, 512));
        self
    }
}

/// What guardrails found: kinds and names, never values.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Findings {
    /// The kinds of personal data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pii: Vec<Cow<'static, str>>,
    /// The labels of topics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Text>,
    /// The policies and rules that fired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Text>,
}

impl Findings {
    fn is_empty(&self) -> bool {
        self.pii.is_empty() && self.topics.is_empty() && self.guardrails.is_empty()
    }
}

/// What a policy in shadow would have done.
#[derive(Debug, Clone, Serialize)]
pub struct Shadow {
    /// The policy.
    pub policy: Text,
    /// What it would have answered, or done besides: `redact`, `detect`.
    pub verdict: &'static str,
    /// What it found: kinds of personal data and labels of topics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Text>,
}

/// An operator's action on a counter.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// `reset` or `grant`.
    pub action: &'static str,
    /// The counter's path.
    pub counter: Text,
    /// How many requests were granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Why, as whoever asked wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// What became of it.
    pub outcome: &'static str,
    /// What remained just before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// What remained just after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}

/// The most entries of a list that a record holds.
const LISTED: usize = 16;

/// What every record of a process begins with.
#[derive(Serialize)]
struct Stamped<'r> {
    time: String,
    service: &'r str,
    #[serde(flatten)]
    record: &'r Record,
}

impl Record {
    /// The inside of the JSON object, without braces: what a chain takes. `at_us` is in microseconds since 1970.
    pub(crate) fn fields(&self, service: &str, at_us: u64) -> Vec<u8> {
        fields(&Stamped { time: moment(at_us), service, record: self })
    }

    /// Bounds every list: each of its texts is bounded already, so a record is always shorter than [`LONGEST_LINE`].
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        self.shadow.truncate(LISTED);
        self.found.pii.truncate(LISTED);
        self.found.topics.truncate(LISTED);
        self.found.guardrails.truncate(LISTED);
        self
    }
}

/// The inside of a value's JSON object.
pub(crate) fn fields(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = text::json(value);
    debug_assert!(bytes.len() < LONGEST_LINE);
    bytes.pop();
    if !bytes.is_empty() {
        bytes.remove(0);
    }
    bytes
}

/// A moment as RFC 3339 in UTC, to the millisecond.
pub(crate) fn moment(at_us: u64) -> String {
    let ms = i64::try_from(at_us / 1000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).map(|at| format!("{at:.3}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_fields_of_one_object_and_holds_no_query() {
        let record = Record {
            event: Event::Authorization,
            request: Some(Request::bounded("GET", "gateway.example.com", "/acme/billing-api/x?token=secret\n")),
            decision: Some(Decision { status: Some(403), ..Decision::new("role").because("line\nbreak") }),
            ..Record::default()
        };
        let fields = String::from_utf8(record.fields("ext-authz", 1_700_000_000_123_456)).unwrap();
        assert_eq!(
            fields,
            r#""time":"2023-11-14T22:13:20.123Z","service":"ext-authz","event":"authorization","request":{"method":"GET","host":"gateway.example.com","path":"/acme/billing-api/x"},"decision":{"verdict":"role","status":403,"detail":"line\nbreak"}"#
        );
    }
}
