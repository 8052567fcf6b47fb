//! Where calls run: in the task of their connection until they have to wait, and then in a task of their own.
//!
//! Most calls come with their whole message, and many are decided without waiting. A task for each would cost more than the decision; and what is answered
//! in the connection's own turn goes out in one write.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Waker},
};

use hyper::rt::Executor;

#[derive(Debug, Clone, Copy)]
pub(super) struct Inline;

impl<F> Executor<F> for Inline
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, call: F) {
        let mut call = Box::pin(call);
        // A panic ends this call, as it would in a task of its own, and not the connection with every tenant's calls (S12).
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        // Whoever waits is polled again at once, in its task: that is who is woken.
        if matches!(polled, Ok(poll) if poll.is_pending()) {
            tokio::spawn(call);
        }
    }
}
