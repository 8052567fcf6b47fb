//! A double of ratelimit.

use std::{net::SocketAddr, sync::Arc};

use bulkhead_proto::pb::envoy::service::ratelimit::v3::{
    RateLimitRequest, RateLimitResponse,
    rate_limit_response::Code,
    rate_limit_service_server::{RateLimitService, RateLimitServiceServer},
};
use tonic::{Request, Response, Status};

use super::{Record, Serving};

type Answer = Arc<dyn Fn(&RateLimitRequest) -> Result<RateLimitResponse, Status> + Send + Sync>;

/// A running limiter.
pub struct Limiter {
    serving: Serving,
    record: Record<RateLimitRequest>,
}

struct Door {
    answer: Answer,
    record: Record<RateLimitRequest>,
}

impl Limiter {
    /// Starts one that answers so.
    pub async fn start(answer: impl Fn(&RateLimitRequest) -> Result<RateLimitResponse, Status> + Send + Sync + 'static) -> Self {
        let record = Record::new();
        let door = Door { answer: Arc::new(answer), record: record.clone() };
        Self { serving: Serving::start(RateLimitServiceServer::new(door)).await, record }
    }

    /// One that admits everything.
    pub async fn admitting() -> Self {
        Self::start(|_| Ok(answer(Code::Ok))).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// What Envoy asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<RateLimitRequest> {
        self.record.all()
    }
}

#[tonic::async_trait]
impl RateLimitService for Door {
    async fn should_rate_limit(&self, request: Request<RateLimitRequest>) -> Result<Response<RateLimitResponse>, Status> {
        let request = request.into_inner();
        self.record.push(request.clone());
        (self.answer)(&request).map(Response::new)
    }
}

/// An answer with this overall code and nothing else.
#[must_use]
pub fn answer(code: Code) -> RateLimitResponse {
    RateLimitResponse { overall_code: code.into(), ..RateLimitResponse::default() }
}
