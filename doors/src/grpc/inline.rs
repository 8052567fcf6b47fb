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
            return;
        }
        // What it leaves may panic too, when it is dropped.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(call)));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::resume_unwind,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Poll,
    };

    use super::*;

    /// A call that panics when it is dropped, and before if it is told to.
    struct Bomb {
        at_once: bool,
        dropped: Arc<AtomicUsize>,
    }

    impl Future for Bomb {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.at_once {
                resume_unwind(Box::new("as it was asked to"));
            }
            Poll::Ready(())
        }
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::SeqCst);
            resume_unwind(Box::new("as it was asked to"));
        }
    }

    #[test]
    fn s12_a_panic_of_what_a_call_leaves_ends_that_call_only() {
        let dropped = Arc::new(AtomicUsize::new(0));
        for at_once in [false, true] {
            // It would unwind into the connection that runs it.
            Inline.execute(Bomb { at_once, dropped: Arc::clone(&dropped) });
        }
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
    }
}
