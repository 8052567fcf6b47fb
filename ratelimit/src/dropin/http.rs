//! The drop-in's HTTP ports: `/json` and `/healthcheck`; on the debug port `/`, `/rlconfig`, `/stats`; on a port of its own what Prometheus reads.
//!
//! None of them serves the domain `bulkhead` (S2): `/json` asks [`Dropin`], which refuses it, and the rest knows nothing of it.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use bulkhead_proto::{
    json::ratelimit::{read_request, write_response},
    pb::envoy::service::ratelimit::v3::rate_limit_response::Code,
};
use http::{StatusCode, header::CONTENT_TYPE};
use tokio::sync::Semaphore;

use super::{health::Health, service::Dropin};

/// `/json` and `/healthcheck`.
pub fn main(dropin: Arc<Dropin>, health: Health) -> Router {
    Router::new().route("/json", any(json).with_state(dropin)).route("/healthcheck", any(move || std::future::ready(health.answer())))
}

/// A RateLimitRequest as proto-JSON, and its answer: 200, or 429 over a limit; 400 for what is no call, and for every error of the service.
async fn json(State(dropin): State<Arc<Dropin>>, body: Bytes) -> Response {
    let request = std::str::from_utf8(&body)
        .map_err(|_| "the body is not UTF-8".to_owned())
        .and_then(|text| read_request(text).map_err(|why| why.to_string()));
    let decided = match request {
        Ok(request) => dropin.decide(&request, None).await.map_err(|why| why.to_string()),
        Err(why) => Err(why),
    };
    match decided {
        Ok(answer) => {
            let status = match Code::try_from(answer.overall_code) {
                Ok(Code::Ok) => StatusCode::OK,
                Ok(Code::OverLimit) => StatusCode::TOO_MANY_REQUESTS,
                Ok(Code::Unknown) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, [(CONTENT_TYPE, "application/json")], write_response(&answer).to_string()).into_response()
        }
        Err(why) => {
            tracing::info!(error = why, "a call of /json was not decided");
            (StatusCode::BAD_REQUEST, "Bad Request\n").into_response()
        }
    }
}

/// What the debug port lists at `/`. The original's `/debug/pprof` is Go's own and has no counterpart.
const PAGES: &str = "/rlconfig: print out the currently loaded configuration for debugging\n/stats: print out stats\n";

/// The debug port.
pub fn debug(dropin: &Arc<Dropin>) -> Router {
    let (rules, stats) = (Arc::clone(dropin), Arc::clone(dropin.stats()));
    Router::new()
        .route("/rlconfig", get(move || async move { rules.rules().map(|rules| rules.dump()).unwrap_or_default() }))
        .route("/stats", get(move || async move { stats.text() }))
        .fallback(|| async { PAGES })
}

/// What Prometheus reads, at a path.
pub fn prometheus(dropin: &Arc<Dropin>, path: &str) -> Router {
    let stats = Arc::clone(dropin.stats());
    // One at a time: rendering costs as much as there are series.
    let turns = Arc::new(Semaphore::new(1));
    let render = move || async move {
        let _turn = turns.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
        let text = tokio::task::spawn_blocking(move || stats.prometheus()).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok::<_, StatusCode>(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
    };
    // A path with braces would be a pattern: compare it as it is.
    let path = path.to_owned();
    Router::new().fallback(move |uri: http::Uri| async move {
        if uri.path() == path { render().await.into_response() } else { StatusCode::NOT_FOUND.into_response() }
    })
}
