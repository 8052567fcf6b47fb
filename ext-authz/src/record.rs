//! What becomes of a decision once it is made: put on record before it is answered, then counted and remembered.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

pub use bulkhead_audit::keep::Kept;
use bulkhead_audit::{
    audit::{Audit as Streams, Stream, Whom},
    keep::About,
    refused::Refused,
};
use bulkhead_doors::metrics::{Metrics, TenantCounter};
use bulkhead_tenancy::{api::Audit, platform::Platform, tenant::Tenant};

use crate::{
    attributes::{Attributes, Body},
    explain::{recent::Recent, told::Told},
    process::Side,
    verdict::{Decision, Denial, Facts, Reason, Step, Verdict},
};

pub mod audit;
pub mod log;
#[cfg(test)]
mod tests;

/// What a decision is about, as far as it may be kept: no header, query or body.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Host or `:authority`.
    pub authority: String,
    /// The path, without its query.
    pub path: String,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// How many headers it had.
    pub headers: usize,
    /// The state of its body.
    pub body: Cow<'static, str>,
}

impl From<&Attributes<'_>> for Seen {
    fn from(Attributes { method, authority, path, source, headers, body, .. }: &Attributes<'_>) -> Self {
        let body = if *body == Body::Absent { Cow::Borrowed("Absent") } else { Cow::Owned(format!("{body:?}")) };
        let [method, authority, path] = [method, authority, path].map(|text| (*text).to_owned());
        Self { method, authority, path, source: *source, headers: headers.len(), body }
    }
}

impl Seen {
    /// Takes the path out: it holds what a policy looks for, or may, and values are in no record.
    pub fn hide_path(&mut self) {
        "[redacted]".clone_into(&mut self.path);
    }
}

/// A decision, with what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Noted<'a> {
    /// The decision.
    pub decision: &'a Decision,
    /// What was asked, as far as the request could be read.
    pub seen: Option<&'a Seen>,
    /// The platform of the snapshot that decided.
    pub platform: Option<&'a Platform>,
}

impl<'a> Noted<'a> {
    /// What the record of a decision is about. What only a policy in shadow would have denied is recorded like a denial.
    fn about(&self) -> About<'a> {
        let decision = self.decision;
        let verdict = &decision.verdict;
        let denied = match &verdict.outcome {
            Ok(_) => verdict.marks().next().map(|_| "shadow"),
            Err(denial) => Some(denial.reason.name()),
        };
        About { tenant: verdict.facts.tenant.as_ref(), id: &decision.id, denied }
    }
}

/// Whoever is told of decisions. It must not block: it is called on the way of the answer.
pub trait Record: Send + Sync + 'static {
    /// Puts a decision on record. It is not answered before that is kept.
    fn keep(&self, noted: &Noted<'_>) -> Kept;

    /// Takes note of a denial that is answered in place of a decision that could not be put on record.
    fn unkept(&self, noted: &Noted<'_>, refused: &Refused);

    /// Counts what is answered, and how long it took, and remembers it for a while.
    fn answered(&self, decision: Decision, seen: Option<Seen>, took: Duration);

    /// Takes note of what was done with a body on its way, after the decision that let the request in. The body does not go on before that is
    /// kept.
    fn processed(&self, processed: &Processed) -> Kept;
}

/// What ext_proc did with one body.
#[derive(Debug)]
pub struct Processed {
    /// The decision that let the request in; empty where none is known.
    pub id: String,
    /// Whose body it is, and what was found in it: kinds and names, never values.
    pub facts: Facts,
    /// Which body.
    pub side: Side,
    /// What was done.
    pub handled: Handled,
    /// The platform of the snapshot of the moment.
    pub platform: Option<Arc<Platform>>,
}

/// What was done with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// It was read and goes on as it is.
    Kept,
    /// It was read and goes on written anew.
    Rewritten,
    /// It could not be read, for this reason, and the policy lets that pass.
    Unread(&'static str),
    /// It goes nowhere.
    Denied(Denial),
    /// It was read as it came, until somebody else than its reader ended it before its end.
    Cut,
}

impl Handled {
    /// The name in spans.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Rewritten => "redacted",
            Self::Unread(_) => "unread",
            Self::Denied(_) => "denied",
            Self::Cut => "cut",
        }
    }
}

impl Processed {
    /// The name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match (self.side, &self.handled) {
            (Side::Request, Handled::Kept) => "request_kept",
            (Side::Request, Handled::Rewritten) => "request_redacted",
            (Side::Request, Handled::Unread(_)) => "request_unread",
            (Side::Request, Handled::Denied(_)) => "request_denied",
            (Side::Request, Handled::Cut) => "request_cut",
            (Side::Response, Handled::Kept) => "response_kept",
            (Side::Response, Handled::Rewritten) => "response_redacted",
            (Side::Response, Handled::Unread(_)) => "response_unread",
            (Side::Response, Handled::Denied(_)) => "response_denied",
            (Side::Response, Handled::Cut) => "response_cut",
        }
    }
}

/// The denial that is answered in place of a decision without a record: 503, for that tenant alone (S11).
#[must_use]
pub fn unrecorded(decision: Decision, refused: &Refused) -> Decision {
    let denial = Denial::new(Reason::Unavailable, format!("`audit: full`, and {refused}"));
    let Decision { id, generation, verdict } = decision;
    Decision { id, generation, verdict: Verdict { outcome: Err(denial), ..verdict } }
}

/// Counts every decision, and records it as each API's `audit` asks: in the audit streams, or in the log where there are none.
pub struct Ledger {
    decisions: TenantCounter,
    shadow: TenantCounter,
    bodies: TenantCounter,
    pii: TenantCounter,
    unread: TenantCounter,
    took: metrics::Histogram,
    log: log::DenialLog,
    streams: Arc<Streams>,
    recent: Arc<Recent>,
}

impl Ledger {
    /// A ledger that counts in these metrics.
    #[must_use]
    pub fn new(metrics: &Metrics, log: log::DenialLog, streams: Arc<Streams>) -> Self {
        metrics::describe_histogram!("bulkhead_authz_decision_seconds", metrics::Unit::Seconds, "How long decisions took.");
        Self {
            decisions: metrics.tenant_counter("bulkhead_authz_decisions_total", "Decisions, by proven tenant and verdict.", "verdict"),
            shadow: metrics.tenant_counter(
                "bulkhead_authz_shadow_total",
                "What policies in shadow would have denied, redacted or detected.",
                "reason",
            ),
            bodies: metrics.tenant_counter(
                "bulkhead_authz_bodies_total",
                "Bodies that ext_proc read, by what was done with them.",
                "outcome",
            ),
            pii: metrics.tenant_counter("bulkhead_authz_pii_total", "Requests and answers that hold personal data, by its kind.", "kind"),
            unread: metrics.tenant_counter(
                "bulkhead_authz_unread_total",
                "Requests and answers that a policy looks into and that could not be read, by why.",
                "why",
            ),
            took: metrics::histogram!("bulkhead_authz_decision_seconds"),
            log,
            streams,
            recent: Arc::default(),
        }
    }

    /// The last decisions.
    #[must_use]
    pub fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }

    /// Tells of merged denials whose window is over. Called from time to time, so that the last ones of a flood are told, too.
    pub fn sweep(&self) {
        self.log.sweep();
        self.streams.sweep();
        self.recent.sweep();
    }

    fn found(&self, facts: &Facts) {
        for kind in &facts.findings.pii {
            self.pii.count(facts.tenant.as_deref(), kind.name());
        }
        if let Some(why) = facts.findings.unread {
            self.unread.count(facts.tenant.as_deref(), why.name());
        }
    }

    /// Tells of every merged denial, and waits for what is not written yet. Called when the service ends.
    pub fn flush(&self, patience: Duration) {
        self.log.flush();
        self.streams.close(patience);
    }

    fn stream(&self, platform: Option<&Platform>, tenant: Option<&Arc<Tenant>>) -> Option<Stream> {
        self.streams.stream(platform?, tenant.map_or(Whom::Unresolved, Whom::Tenant))
    }

    /// Keeps a record as the API's `audit` asks; `line` tells the log of a denial that no stream takes.
    fn put(
        &self,
        facts: &Facts,
        platform: Option<&Platform>,
        about: About<'_>,
        record: impl FnOnce() -> bulkhead_audit::record::Record,
        line: impl FnOnce(),
    ) -> Kept {
        let asked = facts.api.as_ref().map_or(Audit::Denied, |api| api.audit);
        let stream = || {
            let stream = self.stream(platform, about.tenant);
            if stream.is_none() && asked == Audit::Denied {
                line();
            }
            stream
        };
        self.streams.keep(asked, about, stream, record)
    }
}

impl Record for Ledger {
    fn keep(&self, noted: &Noted<'_>) -> Kept {
        let facts = &noted.decision.verdict.facts;
        self.put(facts, noted.platform, noted.about(), || audit::record(noted), || self.log.told(noted.decision))
    }

    fn unkept(&self, noted: &Noted<'_>, refused: &Refused) {
        self.log.told(noted.decision);
        let about = noted.about();
        self.streams.unkept(refused, about, || self.stream(noted.platform, about.tenant), || audit::record(noted));
    }

    fn answered(&self, decision: Decision, seen: Option<Seen>, took: Duration) {
        let verdict = &decision.verdict;
        let tenant = verdict.facts.tenant.as_deref();
        self.decisions.count(tenant, verdict.name());
        self.took.record(took);
        for mark in &verdict.shadow {
            self.shadow.count(tenant, mark.name());
        }
        self.found(&verdict.facts);
        if verdict.outcome.is_ok() {
            log::allowed(&decision);
        }
        self.recent.add(Told::new(decision, seen));
    }

    fn processed(&self, processed: &Processed) -> Kept {
        let Processed { id, facts, handled, platform, .. } = processed;
        let tenant = facts.tenant.as_ref();
        self.bodies.count(tenant.map(Arc::as_ref), processed.name());
        self.found(facts);
        let denial = if let Handled::Denied(denial) = handled { Some(denial) } else { None };
        let about = About { tenant, id, denied: denial.map(|denial| denial.reason.name()) };
        let line = || {
            if let Some(denial) = denial {
                let verdict = Verdict { facts: facts.clone(), step: Step::Guardrails, ..Verdict::denied(denial.clone()) };
                self.log.told(&Decision { id: id.clone(), generation: None, verdict });
            }
        };
        self.put(facts, platform.as_deref(), about, || audit::processed(processed), line)
    }
}
