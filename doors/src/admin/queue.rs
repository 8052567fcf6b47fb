//! Each tenant's requests at the admin door are served one after the other (S12): what they read is made by the threads and the store that decide for everybody,
//! and a tenant's token is handed out to its own people. The operator's do not wait.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Extension,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bulkhead_tenancy::name::TenantName;
use http::{StatusCode, header};
use tokio::sync::Semaphore;

use super::caller::Caller;

/// Requests of one tenant that may wait besides the one that is served: a page of a dashboard asks several things at once.
const WAITING: usize = 7;

/// Who is being served, and who waits.
#[derive(Debug, Default)]
pub(super) struct Queues {
    by_tenant: Mutex<HashMap<TenantName, Queue>>,
}

#[derive(Debug)]
struct Queue {
    turn: Arc<Semaphore>,
    inside: usize,
}

/// A request that is served or waits: leaving, it makes room, whatever became of it.
struct Inside {
    queues: Arc<Queues>,
    tenant: TenantName,
    turn: Arc<Semaphore>,
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, HashMap<TenantName, Queue>> {
        // Each step leaves it whole, and none panics.
        self.by_tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place in the queue of a tenant; none if it is full.
    fn enter(self: &Arc<Self>, tenant: &TenantName) -> Option<Inside> {
        let mut queues = self.lock();
        let queue = queues.entry(tenant.clone()).or_insert_with(|| Queue { turn: Arc::new(Semaphore::new(1)), inside: 0 });
        if queue.inside > WAITING {
            return None;
        }
        queue.inside += 1;
        Some(Inside { queues: Arc::clone(self), tenant: tenant.clone(), turn: Arc::clone(&queue.turn) })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut queues = self.queues.lock();
        if let Some(queue) = queues.get_mut(&self.tenant) {
            queue.inside -= 1;
            if queue.inside == 0 {
                queues.remove(&self.tenant);
            }
        }
    }
}

/// Serves a tenant's request when those before it are done; 429 where too many wait. What is begun is ended, and keeps its turn until then, also when whoever asked has
/// hung up: else hang-ups would have as many pages made at a time as they like, and each would leave the store in the middle of an answer.
pub(super) async fn one_by_one(
    State(queues): State<Arc<Queues>>,
    caller: Option<Extension<Caller>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(Extension(Caller::Tenant { name, .. })) = caller else { return next.run(request).await };
    let Some(inside) = queues.enter(&name) else {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response();
    };
    // It is never closed; if it were, nobody would be served.
    let Ok(turn) = Arc::clone(&inside.turn).acquire_owned().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let served = tokio::spawn(async move {
        let (_inside, _turn) = (inside, turn);
        next.run(request).await
    });
    served.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}
