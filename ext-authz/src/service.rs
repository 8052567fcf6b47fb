//! `envoy.service.auth.v3.Authorization`: one Check, one decision, one answer.
//!
//! A gRPC error is no denial to Envoy (even PERMISSION_DENIED is answered with `status_on_error`, or let through under
//! `failure_mode_allow`), so whatever happens here becomes a `CheckResponse`: no snapshot, no time left, a fault of our own.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bulkhead_doors::{
    grpc::Unread,
    traces::{Span, Traces},
};
use bulkhead_tenancy::{
    clock::SystemClock,
    snapshot::{Live, Snapshot},
};
use futures::FutureExt;
use tokio::time::Instant;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::{
    attributes::{Attributes, Headers},
    context_token::ContextTokens,
    decide::{Due, Identify, Judge},
    limits::{Charged, Charging},
    record::{Kept, Noted, Record, Seen, unrecorded},
    reply::Reply,
    resolve::{Resolver, System},
    verdict::{Decision, Denial, Reason, Verdict},
};

mod deadline;
#[cfg(test)]
mod tests;

/// The largest CheckRequest: Envoy sends at most what `max_request_bytes` buffers, and the headers.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// A decision, and the record that comes before its own: that what is charged was authorized.
struct Decided {
    decision: Decision,
    reply: Reply,
    authorized: Kept,
}

/// The service.
pub struct CheckService<I> {
    live: Live,
    judge: Judge<I>,
    records: Arc<dyn Record>,
    /// Without it, a platform that asks for context tokens is denied.
    context_tokens: Option<Arc<ContextTokens>>,
    traces: Traces,
    /// Without it, the rate limit service charges the limits.
    limits: Option<Charging>,
    resolver: Resolver,
}

impl<I: Identify> CheckService<I> {
    /// A service that decides by the snapshot of the moment and hands every decision to `records`.
    pub fn new(live: Live, judge: Judge<I>, records: Arc<dyn Record>) -> Self {
        Self {
            live,
            judge,
            records,
            context_tokens: None,
            traces: Traces::default(),
            limits: None,
            resolver: Resolver::new(System, Arc::new(SystemClock)),
        }
    }

    /// The same service, that asks someone else than the system where upstreams are.
    #[must_use]
    pub fn resolving(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// The same service, that charges limits as the last step of Check.
    #[must_use]
    pub fn charging(self, limits: Option<Charging>) -> Self {
        Self { limits, ..self }
    }

    /// The same service, that signs context tokens where the platform asks for them.
    #[must_use]
    pub fn signing(self, context_tokens: Arc<ContextTokens>) -> Self {
        Self { context_tokens: Some(context_tokens), ..self }
    }

    /// The same service, with a span for each call.
    #[must_use]
    pub fn tracing(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Answers a call of Envoy's, before it gives up on it: the decision is on record then, and what must be and is not is denied.
    ///
    /// # Errors
    /// None: whatever is asked, and be it no CheckRequest, is answered by one.
    pub async fn check(&self, request: Request<Unread>) -> Result<Reply, Status> {
        let patience = deadline::patience(request.metadata());
        let mut span = self.traces.span("Check", request.metadata());
        let Unread(message) = request.into_inner();
        let asked = Attributes::asked(&message);
        Ok(self.traced(&asked, patience, &mut span).await)
    }

    async fn traced(&self, asked: &Result<Attributes<'_>, Denial>, patience: Duration, span: &mut Span) -> Reply {
        let started = Instant::now();
        let snapshot = self.live.load();
        let mut seen = None;
        let Decided { mut decision, mut reply, authorized } = self.decide(snapshot.as_ref(), asked, (started, patience), &mut seen).await;
        let platform = snapshot.as_ref().map(|snapshot| snapshot.platform().as_ref());
        let until = started + patience;
        let kept = match authorized {
            Kept::Never(refused) => Err(refused),
            authorized => {
                let own = self.records.keep(&Noted { decision: &decision, seen: seen.as_ref(), platform });
                match authorized.until(until).await {
                    Ok(()) => own.until(until).await,
                    refused => refused,
                }
            }
        };
        if let Some(limits) = &self.limits {
            limits.count(&decision.verdict, kept.is_ok());
        }
        if let Err(refused) = kept {
            decision = unrecorded(decision, &refused);
            reply = Reply::to(&decision, &Headers::default());
            self.records.unkept(&Noted { decision: &decision, seen: seen.as_ref(), platform }, &refused);
        }
        tell(span, &decision);
        self.records.answered(decision, seen, started.elapsed());
        reply
    }

    /// `seen` is what was asked, once it is read: known also of a decision that breaks.
    async fn decide(
        &self,
        snapshot: Option<&Arc<Snapshot>>,
        asked: &Result<Attributes<'_>, Denial>,
        (started, patience): (Instant, Duration),
        seen: &mut Option<Seen>,
    ) -> Decided {
        let id = Uuid::now_v7().to_string();
        let generation = snapshot.map(|snapshot| snapshot.generation());
        let until = started + deadline::of_verdict(patience);
        let whole = async {
            let mut verdict = self.verdict(snapshot, asked, (started, patience), seen).await;
            if let Some(seen) = seen.as_mut().filter(|_| verdict.facts.findings.hides_path) {
                seen.hide_path();
            }
            // The store's part of the time is not for names.
            let named = started + deadline::of_verdict(patience.saturating_sub(self.kept_for_limits(patience)));
            self.resolve(snapshot, &mut verdict, named).await;
            let signed = self.must_sign(snapshot, &mut verdict);
            let mut decision = Decision { id: id.clone(), generation, verdict };
            let authorized = self.charge(snapshot, &mut decision, seen.as_ref(), until, patience).await;
            // Last, because what is over a limit is not worth a signature.
            if let Some((tokens, ttl_seconds)) = signed {
                sign(tokens, ttl_seconds, &mut decision);
            }
            let nothing = Headers::default();
            let arrived = asked.as_ref().map_or(&nothing, |asked| &asked.headers);
            let reply = Reply::to(&decision, arrived);
            Decided { decision, reply, authorized }
        };
        // A panic unwinds one decision, which holds nothing that others share but behind their own locks.
        let failed = match tokio::time::timeout_at(started + patience, AssertUnwindSafe(whole).catch_unwind()).await {
            Ok(Ok(decided)) => return decided,
            Ok(Err(_)) => "the decision broke: this is a fault of ours",
            Err(_) => "the decision was not made in time",
        };
        // What its path says nobody has come to tell.
        if let Some(seen) = seen {
            seen.hide_path();
        }
        let decision = Decision { id, generation, verdict: Verdict::denied(Denial::new(Reason::Unavailable, failed)) };
        let reply = Reply::to(&decision, &Headers::default());
        Decided { decision, reply, authorized: Kept::Now }
    }

    async fn verdict(
        &self,
        snapshot: Option<&Arc<Snapshot>>,
        asked: &Result<Attributes<'_>, Denial>,
        (started, patience): (Instant, Duration),
        seen: &mut Option<Seen>,
    ) -> Verdict {
        let Some(snapshot) = snapshot else {
            return Verdict::denied(Denial::new(Reason::Unavailable, "there is no snapshot yet"));
        };
        match asked {
            Ok(attributes) => {
                *seen = Some(Seen::from(attributes));
                let judging = patience.saturating_sub(self.kept_for_limits(patience));
                let due = Due { proof: started + deadline::of_proof(judging), verdict: started + deadline::of_verdict(judging) };
                self.judge.decide(snapshot, attributes, due).await
            }
            Err(denial) => Verdict::denied(denial.clone()),
        }
    }
}

impl<I> CheckService<I> {
    /// The part of a decision's time that only its limits may take.
    fn kept_for_limits(&self, patience: Duration) -> Duration {
        self.limits.as_ref().map_or(Duration::ZERO, |limits| deadline::of_limits(patience, limits.deadline()))
    }

    /// Finds where the contract's upstream is, if Envoy is to be told (S3): what cannot be sent anywhere is not charged.
    async fn resolve(&self, snapshot: Option<&Arc<Snapshot>>, verdict: &mut Verdict, until: Instant) {
        let (Some(snapshot), Ok(allowed)) = (snapshot, &mut verdict.outcome) else { return };
        let Some(upstream) = allowed.obligations.upstream.as_mut().filter(|upstream| upstream.address.is_none()) else { return };
        let anywhere = upstream.mapped || snapshot.platform().upstreams.allow_loopback;
        match self.resolver.address(&allowed.caller.tenant.uid, &upstream.host, anywhere, until).await {
            Ok(address) => upstream.address = Some(address),
            Err(denial) => verdict.outcome = Err(denial),
        }
    }

    /// Charges the limits of what is authorized, if that is done here; the record that it was authorized comes before. Without that record nothing is charged.
    async fn charge(
        &self,
        snapshot: Option<&Arc<Snapshot>>,
        decision: &mut Decision,
        seen: Option<&Seen>,
        until: Instant,
        patience: Duration,
    ) -> Kept {
        let (Some(limits), Some(snapshot), Ok(_)) = (&self.limits, snapshot, &decision.verdict.outcome) else { return Kept::Now };
        let authorized = self.records.keep(&Noted { decision, seen, platform: Some(snapshot.platform()) });
        if !matches!(authorized, Kept::Never(_)) {
            Box::pin(limits.charge(snapshot, &mut decision.verdict, until, self.kept_for_limits(patience))).await;
        }
        authorized
    }

    /// Who signs what is allowed, and for how many seconds, where the platform asks for it: an upstream that relies on the token is not reached without one, and
    /// where nobody can sign nothing is charged.
    fn must_sign(&self, snapshot: Option<&Arc<Snapshot>>, verdict: &mut Verdict) -> Option<(&ContextTokens, u64)> {
        let asked = snapshot.map(|snapshot| snapshot.platform().context_token).filter(|asked| asked.enabled)?;
        let Some(tokens) = &self.context_tokens else {
            if verdict.outcome.is_ok() {
                verdict.outcome = Err(unsigned());
            }
            return None;
        };
        Some((tokens, asked.ttl_seconds))
    }
}

fn sign(tokens: &ContextTokens, ttl_seconds: u64, decision: &mut Decision) {
    let Ok(allowed) = &mut decision.verdict.outcome else { return };
    match tokens.sign(allowed, &decision.id, ttl_seconds) {
        Some(token) => allowed.obligations.context_token = Some(token),
        None => decision.verdict.outcome = Err(unsigned()),
    }
}

fn unsigned() -> Denial {
    Denial::new(Reason::Unavailable, "the context token could not be signed")
}

/// What a span says of a decision: names and kinds, nothing of what was sent.
fn tell(span: &mut Span, decision: &Decision) {
    let facts = &decision.verdict.facts;
    span.tenant(facts.tenant.as_deref());
    span.api(facts.api.as_ref().map(|api| api.name.as_str()));
    span.decision(Some(&decision.id));
    span.verdict(decision.verdict.name());
    if let Some(scope) = decision.verdict.charged.as_ref().and_then(Charged::scope) {
        span.scope(scope.as_str());
    }
    if matches!(&decision.verdict.outcome, Err(denial) if denial.reason == Reason::Unavailable) {
        span.failed();
    }
}
