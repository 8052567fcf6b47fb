//! Calls of the store: one for whoever came first, then one after the other for as long as somebody waits.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use super::queue::Queue;
use crate::{
    ask::Answer,
    store::{Store, StoreError},
};

/// The right to have one call in flight. When the call ends, however it ends, what waits meanwhile becomes the next one.
pub(super) struct Slot {
    queue: Arc<Queue>,
    store: Arc<dyn Store>,
    /// Whether the call has begun. A task that never runs (its runtime is ending) must not start another one.
    begun: bool,
    /// Whether the store answered.
    answered: bool,
}

impl Slot {
    /// What [`Queue::enter`] has counted as a call.
    pub(super) fn new(queue: Arc<Queue>, store: Arc<dyn Store>) -> Self {
        Self { queue, store, begun: true, answered: false }
    }

    /// Makes a call of what waits, in a task of its own.
    pub(super) fn spawn(mut self) {
        if let Ok(runtime) = Handle::try_current() {
            self.begun = false;
            runtime.spawn(self.serve());
        }
    }

    async fn serve(mut self) {
        self.begun = true;
        let batch = self.queue.take();
        if batch.asks.is_empty() {
            return;
        }
        let decided = self.store.decide_apart(&batch.asks).await;
        self.ended(&decided);
        batch.answer(decided);
    }

    /// What became of the call.
    pub(super) fn ended(&mut self, decided: &[Result<Answer, StoreError>]) {
        self.answered = decided.iter().any(Result::is_ok);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let runtime = Handle::try_current().ok().filter(|_| self.begun);
        if self.queue.leave(runtime.is_some(), self.answered)
            && let Some(runtime) = runtime
        {
            let next = Self { queue: Arc::clone(&self.queue), store: Arc::clone(&self.store), begun: false, answered: false };
            runtime.spawn(next.serve());
        }
    }
}

type Call = Pin<Box<dyn Future<Output = Vec<Result<Answer, StoreError>>> + Send>>;

/// A call that comes to its end even if its caller stops waiting: a store that is slow is then still seen to be (its breaker counts calls that
/// nobody let finish as failures), and nobody's short patience makes it look like one that fails (S12).
pub(super) struct Finished(Option<Call>);

impl Finished {
    pub(super) fn new(call: impl Future<Output = Vec<Result<Answer, StoreError>>> + Send + 'static) -> Self {
        Self(Some(Box::pin(call)))
    }
}

impl Future for Finished {
    type Output = Vec<Result<Answer, StoreError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = self.0.as_mut() else { return Poll::Ready(Vec::new()) };
        let polled = call.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Finished {
    fn drop(&mut self) {
        if let (Some(call), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn(call));
        }
    }
}
