//! One gRPC service for both: the domain `bulkhead` is the limiter's own, every other one the drop-in's.

use std::{sync::Arc, time::Instant};

use bulkhead_doors::{
    grpc::{Sayable, Unread, unreadable},
    traces::Traces,
};
use bulkhead_proto::{
    contract::DOMAIN,
    pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse},
};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::service::Dropin;
use crate::rls::{self, Reply, Rls, deadline, span};

/// The largest RateLimitRequest of the drop-in.
pub const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// The service.
pub struct Domains {
    dropin: Arc<Dropin>,
    own: Own,
    traces: Traces,
}

/// Who answers for the domain `bulkhead`.
pub enum Own {
    /// The limiter.
    Served(Box<Rls>),
    /// Nobody: the door is open to all, and whoever reaches it could speak for any tenant (S2).
    Unprotected,
    /// Nobody: there is no configuration of tenants.
    NotConfigured,
}

impl Domains {
    /// A service for both.
    #[must_use]
    pub fn new(dropin: Arc<Dropin>, own: Own) -> Self {
        Self { dropin, own, traces: Traces::default() }
    }

    /// Makes a span of each call of the drop-in; the limiter makes its own.
    #[must_use]
    pub fn tracing(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }
}

/// What one of the two says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The limiter.
    Own(Reply),
    /// The drop-in.
    Dropin(RateLimitResponse),
}

impl Sayable for Said {
    fn length(&self) -> usize {
        match self {
            Self::Own(reply) => reply.length(),
            Self::Dropin(answer) => answer.length(),
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Own(reply) => reply.write(bytes),
            Self::Dropin(answer) => answer.write(bytes),
        }
    }
}

impl Domains {
    /// Answers a call; for the limiter's own domain as the limiter does where it is served alone.
    ///
    /// # Errors
    /// As the method has it; and what is no RateLimitRequest.
    pub async fn answer(&self, request: Request<Unread>) -> Result<Response<Said>, Status> {
        let Unread(message) = request.get_ref();
        if rls::domain(message)? == DOMAIN {
            return match &self.own {
                Own::Served(rls) => Ok(rls.answer(request).await?.map(Said::Own)),
                Own::Unprotected => Err(Status::permission_denied(
                    "the domain `bulkhead` is not served where anybody may connect: use loopback, a unix socket or client certificates (S2)",
                )),
                Own::NotConfigured => Err(Status::failed_precondition("the domain `bulkhead` needs --config")),
            };
        }
        let asked = RateLimitRequest::decode(message.clone()).map_err(|_| unreadable())?;
        let mut span = self.traces.span(span::NAME, request.metadata());
        let started = Instant::now();
        let stats = self.dropin.stats();
        stats.service.total_requests.add(1);
        let decided = self.dropin.decide(&asked, deadline::budget(request.metadata())).await;
        stats.response_time.record(started.elapsed());
        let answered = decided.map(Response::new).map_err(Status::from);
        span::ended(&mut span, &answered);
        Ok(answered?.map(Said::Dropin))
    }
}
