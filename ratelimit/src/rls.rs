//! The rate limit service that Envoy asks (envoy.service.ratelimit.v3), for the domain `bulkhead`.
//!
//! Every answer is one of three: OK, OVER_LIMIT, or a gRPC error where nothing was decided. Envoy turns an error into 503 where
//! `failure_mode_deny` is set, as our Envoy files do; it must never be an OK that nobody paid for (S9).

pub(crate) mod deadline;
mod names;
mod oddities;
mod question;
mod record;
mod reply;
mod request;
pub(crate) mod span;

use std::{sync::Arc, time::Duration};

use bulkhead_audit::audit::Audit;
use bulkhead_doors::{
    grpc::{Unread, unreadable},
    metrics::Metrics,
    traces::{Span, Traces},
};
use bulkhead_proto::{
    contract::DOMAIN,
    pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse, rate_limit_service_server::RateLimitService},
};
use bulkhead_tenancy::snapshot::Live;
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};

pub use self::reply::Reply;
use self::{
    names::Remembered,
    oddities::Oddities,
    question::Question,
    record::Records,
    request::{Asked, Known},
};
use crate::{
    counts::Counts,
    levels::Levels,
    limiter::{Limiter, Ruling},
    outcome::Outcome,
};

/// The largest RateLimitRequest: a dozen descriptors of four short entries take a few kilobytes.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// The service.
pub struct Rls {
    live: Live,
    levels: Levels,
    remembered: Remembered,
    limiter: Arc<Limiter>,
    counts: Counts,
    oddities: Oddities,
    records: Records,
    traces: Traces,
}

/// What a call's metadata says.
struct Heard {
    span: Span,
    budget: Option<Duration>,
}

/// How long a record may take, where the caller states no time-out.
const LONGEST_RECORD: Duration = Duration::from_secs(5);

impl Rls {
    /// A service that decides by the snapshot of the moment.
    #[must_use]
    pub fn new(live: Live, levels: Levels, limiter: Arc<Limiter>, metrics: &Metrics) -> Self {
        let (counts, oddities) = (Counts::new(metrics), Oddities::new(metrics));
        let (remembered, records, traces) = (Remembered::default(), Records::default(), Traces::default());
        Self { live, levels, remembered, limiter, counts, oddities, records, traces }
    }

    /// Puts verdicts on record in these streams. Without this nothing is recorded, and `audit: full` is refused.
    #[must_use]
    pub fn recording(self, streams: Arc<Audit>) -> Self {
        Self { records: Records::on(streams), ..self }
    }

    /// Makes a span of each call.
    #[must_use]
    pub fn tracing(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Nothing is decided about a request.
    fn refused(&self, why: &'static str) {
        self.oddities.refused(why);
        self.counts.refused();
    }

    /// A 429, or an OK with the state of the tightest level.
    fn ruled(asked: &Asked<'_>, outcome: &Outcome, span: &mut Span) -> Reply {
        match outcome.denial() {
            None => {
                span.verdict(span::ALLOW);
                Reply::ok(asked, outcome.standings())
            }
            Some(denial) => {
                span.verdict(span::OVER_LIMIT);
                span.scope(denial.scope.as_str());
                tracing::debug!(
                    decision.id = asked.decision(),
                    tenant_id = asked.tenant().map_or("__unresolved__", |tenant| tenant.name.as_str()),
                    limit.scope = denial.scope.as_str(),
                    "over a limit"
                );
                Reply::over_limit(asked, outcome.standings(), denial)
            }
        }
    }
}

/// The domain of a RateLimitRequest: where others are served besides, who answers it is found out first.
///
/// # Errors
/// It is none.
pub(crate) fn domain(message: &[u8]) -> Result<&str, Status> {
    Question::domain(message).map_err(|_| unreadable())
}

#[tonic::async_trait]
impl RateLimitService for Rls {
    async fn should_rate_limit(&self, request: Request<RateLimitRequest>) -> Result<Response<RateLimitResponse>, Status> {
        let reply = self.decide(self.heard(request.metadata()), Question::from(request.get_ref())).await?;
        Ok(Response::new(reply.read().map_err(|_| Status::internal("the answer cannot be read"))?))
    }
}

impl Rls {
    /// The same call, read where it lies and answered as it is sent.
    ///
    /// # Errors
    /// As the method has it; and what is no RateLimitRequest.
    pub async fn answer(&self, request: Request<Unread>) -> Result<Response<Reply>, Status> {
        let (metadata, _, Unread(message)) = request.into_parts();
        let question = Question::read(&message).map_err(|_| unreadable())?;
        let heard = self.heard(&metadata);
        // What a waiting call does not keep, the next one has while it is still in a cache: hundreds wait at a time.
        drop(metadata);
        Ok(Response::new(self.decide(heard, question).await?))
    }

    fn heard(&self, metadata: &MetadataMap) -> Heard {
        Heard { span: self.traces.span(span::NAME, metadata), budget: deadline::budget(metadata) }
    }

    async fn decide(&self, heard: Heard, question: Question<'_>) -> Result<Reply, Status> {
        let Heard { mut span, budget } = heard;
        let answered = self.judge(question, budget, &mut span).await;
        if let Err(status) = &answered {
            span::refused(&mut span, status);
        }
        answered
    }

    async fn judge(&self, question: Question<'_>, budget: Option<Duration>, span: &mut Span) -> Result<Reply, Status> {
        // Nine tenths of the call's time, where a decision has three quarters of it.
        let recorded = Instant::now() + budget.map_or(LONGEST_RECORD, |budget| budget.mul_f64(1.2));
        if question.domain != DOMAIN {
            self.refused("domain");
            return Err(Status::invalid_argument("this service serves the domain `bulkhead` only"));
        }
        // One snapshot from start to end of a decision.
        let snapshot = self.live.load().ok_or_else(|| Status::unavailable("no configuration is loaded yet"))?;
        let known = Known { snapshot: &snapshot, levels: &self.levels, remembered: &self.remembered };
        let asked = Asked::read(&question, known).map_err(|why| {
            self.refused("malformed");
            Status::invalid_argument(why)
        })?;
        drop(question);
        self.oddities.served(&asked);
        span::asked(span, &asked);
        let ruling = self.limiter.decide(asked.charge(), asked.fallback(), budget).await;
        if let Err(refused) = self.records.keep(&asked, snapshot.platform(), &ruling, recorded).await {
            self.counts.unrecorded(asked.tenant());
            tracing::debug!(decision.id = asked.decision(), tenant_id = asked.tenant().map(|tenant| tenant.name.as_str()), error = %refused, "not on record");
            return Err(Status::unavailable("the decision cannot be put on record"));
        }
        self.counts.ruled(asked.tenant(), &ruling);
        match ruling {
            Ruling::Exact(outcome) | Ruling::Local(outcome) => Ok(Self::ruled(&asked, &outcome, span)),
            Ruling::Open => {
                span.verdict(span::ALLOW);
                Ok(Reply::ok(&asked, &[]))
            }
            // Not a 429: the tenant is over no limit that we know of.
            Ruling::Unavailable => Err(Status::unavailable("limits cannot be decided now")),
        }
    }
}
