//! What the limiter serves on the admin door: counters that an operator holds, and what was metered.

use std::sync::Arc;

use axum::{
    Json, Router,
    response::{IntoResponse, Response},
    routing::get,
};
use bulkhead_audit::audit::Audit;
use bulkhead_doors::admin::AdminRoutes;
use bulkhead_tenancy::{clock::Clock, snapshot::Live};
use http::StatusCode;
use serde::Serialize;

use crate::{
    counters::{Counters, routes as counters},
    dropin::service::Dropin,
    key::Keyspace,
    metering::{Metering, routes as metering},
    store::Store,
};

/// What the admin door looks at.
#[derive(Clone)]
pub struct Inside {
    /// The snapshot of the moment.
    pub live: Live,
    /// The store that decides.
    pub store: Arc<dyn Store>,
    /// The keys of this deployment.
    pub keys: Keyspace,
    /// The drop-in, if the process stands in for envoyproxy/ratelimit.
    pub dropin: Option<Arc<Dropin>>,
    /// The streams that changes by hand are recorded in, beside the log.
    pub audit: Option<Arc<Audit>>,
    /// What time it is: the store's own clock decides, this one only stands in records and defaults.
    pub clock: Arc<dyn Clock>,
}

/// The routes.
#[must_use]
pub fn routes(inside: Inside) -> AdminRoutes {
    let counted = Arc::new(Counters::new(inside.clone()));
    let metered = Arc::new(Metering::new(inside));
    AdminRoutes {
        operator: Router::new().route("/counters/changes", get(counters::changes)).with_state(Arc::clone(&counted)),
        tenants: Router::new()
            .route("/counters", get(counters::list))
            .route("/counters/{owner}/{*counter}", get(counters::peek).post(counters::change))
            .with_state(counted)
            .merge(Router::new().route("/metering", get(metering::read)).with_state(metered)),
    }
}

/// Why a request of the admin door is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not there, or it is not there for who asks: one answer, so that nobody learns which (S22).
    #[error("not found")]
    NotFound,
    /// Only the operator changes counters.
    #[error("only the operator may do this")]
    Forbidden,
    /// What is wrong with the request.
    #[error("{0}")]
    Bad(String),
    /// A body that cannot be read, with the status that says how: of another type (415), no JSON (400), JSON of another shape (422), too large (413).
    #[error("{1}")]
    Unread(StatusCode, String),
    /// The store does not answer, or nothing is loaded yet.
    #[error("{0}")]
    Unavailable(&'static str),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Problem {
            r#type: &'static str,
            title: String,
            status: u16,
        }
        let title = self.to_string();
        let (status, r#type) = match self {
            // As for every path that is not there.
            Self::NotFound => return StatusCode::NOT_FOUND.into_response(),
            Self::Forbidden => (StatusCode::FORBIDDEN, "urn:bulkhead:operator_only"),
            Self::Bad(_) => (StatusCode::BAD_REQUEST, "urn:bulkhead:bad_request"),
            Self::Unread(status, _) => (status, "urn:bulkhead:bad_request"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "urn:bulkhead:unavailable"),
        };
        let problem = Problem { r#type, title, status: status.as_u16() };
        (status, [(http::header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
    }
}
