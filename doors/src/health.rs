//! The health door: for probes and Prometheus, from anywhere. It tells nothing of a tenant but its counters.

use std::sync::Arc;

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header::CONTENT_TYPE};
use tokio::sync::Semaphore;

use crate::{metrics::Metrics, run::Readiness};

/// `/healthz` (the process lives), `/readyz` (503 with what it waits for, and while draining), `/metrics` (Prometheus text).
pub(crate) fn router(readiness: Readiness, metrics: Metrics) -> Router {
    let ready = move || std::future::ready(answer_readiness(&readiness));
    // One scrape at a time: rendering costs as much as there are series, and this door is open to all.
    let scrapes = Arc::new(Semaphore::new(1));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render).with_state((metrics, scrapes)))
}

fn answer_readiness(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.why_not() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn render(State((metrics, scrapes)): State<(Metrics, Arc<Semaphore>)>) -> Result<impl IntoResponse, StatusCode> {
    let _turn = scrapes.acquire().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let text = tokio::task::spawn_blocking(move || metrics.render()).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
