//! The admin door: what the operator looks at, and of it what a tenant may see of itself. Everything on it, unknown paths too, needs a bearer
//! token (S2): the operator's, or a tenant's own.

mod browser;
mod caller;
mod guard;
mod queue;
mod tenants;
mod token;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use serde::Serialize;

pub use self::caller::Caller;
pub(crate) use self::guard::Guard;
use self::{browser::Browser, queue::Queues};

/// What `/snapshot` shows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SnapshotReport {
    /// The generation of the snapshot that decides now; absent before the first.
    pub generation: Option<u64>,
    /// Every tenant, by name.
    pub tenants: Vec<TenantReport>,
}

/// One tenant of `/snapshot`.
#[derive(Debug, Clone, Serialize)]
pub struct TenantReport {
    /// Its name.
    pub tenant: String,
    /// Its state: `ready`, `last_good`, `unavailable`, `suspended`...
    pub state: String,
    /// The last error of its configuration, if the newest one is not what decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How old the policy that decides is, in seconds.
    pub age_seconds: u64,
}

/// The routes of a service behind the admin door.
#[derive(Debug, Clone, Default)]
pub struct AdminRoutes {
    /// The operator's alone: to a tenant they are not there.
    pub operator: Router,
    /// A tenant's own credential reaches these too: each asks its [`Caller`] whom it may tell of.
    pub tenants: Router,
}

impl AdminRoutes {
    /// These routes and others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self { operator: self.operator.merge(others.operator), tenants: self.tenants.merge(others.tenants) }
    }
}

/// `/snapshot` and the service's own routes, all behind the guard.
pub(crate) fn router(report: Arc<dyn Fn() -> SnapshotReport + Send + Sync>, routes: AdminRoutes, guard: Guard) -> Router {
    let door = Arc::new(Door { browser: Browser::at(guard.is_loopback()), guard });
    Router::new()
        .route("/snapshot", get(move || async move { Json(report()) }))
        .merge(routes.operator)
        .layer(middleware::from_fn(operator_only))
        .merge(routes.tenants.layer(middleware::from_fn_with_state(Arc::new(Queues::default()), queue::one_by_one)))
        .fallback(nothing)
        .layer(middleware::from_fn_with_state(door, authenticate))
}

/// What is not there, and what is there for somebody else: one answer.
async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

struct Door {
    browser: Browser,
    guard: Guard,
}

async fn authenticate(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    if door.browser.sent(request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match door.guard.caller(request.headers()).await {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response(),
    }
}

async fn operator_only(caller: Option<Extension<Caller>>, request: Request, next: Next) -> Response {
    match caller {
        Some(Extension(Caller::Operator)) => next.run(request).await,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
