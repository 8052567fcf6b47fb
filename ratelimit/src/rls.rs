//! The rate limit service that Envoy asks (envoy.service.ratelimit.v3), for the domain `bulkhead`.
//!
//! Every answer is one of three: OK, OVER_LIMIT, or a gRPC error where nothing was decided. Envoy turns an error into 503 where
//! `failure_mode_deny` is set, as our Envoy files do; it must never be an OK that nobody paid for (S9).

pub(crate) mod deadline;
mod oddities;
mod record;
mod reply;
mod request;
pub(crate) mod span;

use std::{sync::Arc, time::Duration};

use bulkhead_audit::audit::Audit;
use bulkhead_doors::{
    metrics::Metrics,
    traces::{Span, Traces},
};
use bulkhead_proto::{
    contract::DOMAIN,
    pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse, rate_limit_service_server::RateLimitService},
};
use bulkhead_tenancy::snapshot::Live;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use self::{oddities::Oddities, record::Records, request::Asked};
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
    limiter: Arc<Limiter>,
    counts: Counts,
    oddities: Oddities,
    records: Records,
    traces: Traces,
}

/// How long a record may take, where the caller states no time-out.
const LONGEST_RECORD: Duration = Duration::from_secs(5);

impl Rls {
    /// A service that decides by the snapshot of the moment.
    #[must_use]
    pub fn new(live: Live, levels: Levels, limiter: Arc<Limiter>, metrics: &Metrics) -> Self {
        let (counts, oddities) = (Counts::new(metrics), Oddities::new(metrics));
        Self { live, levels, limiter, counts, oddities, records: Records::default(), traces: Traces::default() }
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
    fn answer(asked: &Asked, outcome: &Outcome, span: &mut Span) -> RateLimitResponse {
        match outcome.denial() {
            None => reply::ok(asked, outcome.standings()),
            Some(denial) => {
                span.scope(denial.scope.as_str());
                tracing::debug!(
                    decision.id = asked.decision(),
                    tenant_id = asked.tenant().map_or("__unresolved__", |tenant| tenant.name.as_str()),
                    limit.scope = denial.scope.as_str(),
                    "over a limit"
                );
                reply::over_limit(asked, outcome.standings(), denial)
            }
        }
    }
}

#[tonic::async_trait]
impl RateLimitService for Rls {
    async fn should_rate_limit(&self, request: Request<RateLimitRequest>) -> Result<Response<RateLimitResponse>, Status> {
        let mut span = self.traces.span(span::NAME, request.metadata());
        let answered = self.decide(request, &mut span).await.map(Response::new);
        span::ended(&mut span, &answered);
        answered
    }
}

impl Rls {
    async fn decide(&self, request: Request<RateLimitRequest>, span: &mut Span) -> Result<RateLimitResponse, Status> {
        let budget = deadline::budget(request.metadata());
        // Nine tenths of the call's time, where a decision has three quarters of it.
        let recorded = Instant::now() + budget.map_or(LONGEST_RECORD, |budget| budget.mul_f64(1.2));
        let request = request.into_inner();
        if request.domain != DOMAIN {
            self.refused("domain");
            return Err(Status::invalid_argument("this service serves the domain `bulkhead` only"));
        }
        // One snapshot from start to end of a decision.
        let snapshot = self.live.load().ok_or_else(|| Status::unavailable("no configuration is loaded yet"))?;
        let asked = Asked::read(&request, &snapshot, &self.levels).map_err(|why| {
            self.refused("malformed");
            Status::invalid_argument(why)
        })?;
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
            Ruling::Exact(outcome) | Ruling::Local(outcome) => Ok(Self::answer(&asked, &outcome, span)),
            Ruling::Open => Ok(reply::ok(&asked, &[])),
            // Not a 429: the tenant is over no limit that we know of.
            Ruling::Unavailable => Err(Status::unavailable("limits cannot be decided now")),
        }
    }
}
