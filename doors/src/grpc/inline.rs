//! Where calls run: in the task of their connection, in the turn in which they come, and in its next ones where they have to wait.
//!
//! Most calls come with their whole message, and many are decided without waiting. A task for each would cost more than the decision. They begin after the
//! connection was polled, not when it hands them over: it writes whenever it looks for the next one, so an answer that is there by then goes out in a write of its
//! own, which costs as much as the decision. What is answered in one go goes out in one write. What is woken often is no decision but a stream, and gets a task of
//! its own.

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use hyper::rt::Executor;
use tokio::task::coop::unconstrained;

/// So often a call is polled in its connection's task.
const TURNS: u8 = 16;

/// So many calls are answered before what they said is written: the first waits for the last.
pub(super) const ANSWERED: usize = 16;

/// Nor does it wait for longer than this: an Envoy's connection has calls of all tenants, and some take a thousand times as long as others.
const LONGEST: Duration = Duration::from_micros(200);

/// Where a connection's calls begin.
#[derive(Clone, Default)]
pub(super) struct Inline {
    come: Arc<Mutex<VecDeque<Call>>>,
}

impl Inline {
    /// Begins calls that have come, until there are no more or so many have ended, or so long ago, that what they said is to be written; whether all have begun. Those that
    /// have to wait go to `waits`.
    pub(super) fn begin(&self, mut waits: impl FnMut(Call)) -> bool {
        let (began, mut answered) = (Instant::now(), 0);
        loop {
            let Some(mut call) = self.come().pop_front() else { return true };
            // Whoever waits is polled again in this very turn of its connection: that is who is woken.
            match Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(()) => answered += 1,
                Poll::Pending => waits(call),
            }
            if answered >= ANSWERED || began.elapsed() >= LONGEST {
                return self.come().is_empty();
            }
        }
    }

    fn come(&self) -> MutexGuard<'_, VecDeque<Call>> {
        // It changes in one step, without anything between that panics.
        self.come.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for Inline
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        self.come().push_back(Call { running: Some(Box::pin(call)), polls: 0 });
    }
}

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A call that its connection's task runs.
pub(super) struct Call {
    running: Option<Running>,
    polls: u8,
}

impl Future for Call {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(mut running) = self.running.take() else { return Poll::Ready(()) };
        if self.polls >= TURNS {
            tokio::spawn(running);
            return Poll::Ready(());
        }
        self.polls += 1;
        // A panic ends this call, as it would in a task of its own, and not the connection with every tenant's calls (S12). What one call may do in a turn is
        // little: that another did much before must not put it off.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut unconstrained(running.as_mut())).poll(context)));
        if matches!(polled, Ok(Poll::Pending)) {
            self.running = Some(running);
            return Poll::Pending;
        }
        end(running);
        Poll::Ready(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.running.take().into_iter().for_each(end);
    }
}

/// What a call leaves may panic too, when it is dropped.
fn end(call: Running) {
    let _ = catch_unwind(AssertUnwindSafe(move || drop(call)));
}

#[cfg(test)]
mod tests {
    use std::{
        panic::resume_unwind,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// A call that panics when it is dropped, and before if it is told to.
    struct Bomb {
        at_once: bool,
        waits: bool,
        dropped: Arc<AtomicUsize>,
    }

    impl Future for Bomb {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if std::mem::take(&mut self.waits) {
                return Poll::Pending;
            }
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
            let calls = Inline::default();
            calls.execute(Bomb { at_once, waits: false, dropped: Arc::clone(&dropped) });
            // It would unwind into the connection that runs it.
            assert!(calls.begin(|_| panic!("it waits for nothing")));
        }
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn s12_a_panic_of_a_call_that_waited_ends_that_call_only() {
        let dropped = Arc::new(AtomicUsize::new(0));
        for at_once in [false, true] {
            let calls = Inline::default();
            calls.execute(Bomb { at_once, waits: true, dropped: Arc::clone(&dropped) });
            let mut waiting = Vec::new();
            assert!(calls.begin(|call| waiting.push(call)));
            let mut call = waiting.pop().unwrap();
            assert!(Pin::new(&mut call).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        // And one that nobody polls any more, begun or not.
        Inline::default().execute(Bomb { at_once: false, waits: true, dropped: Arc::clone(&dropped) });
        let calls = Inline::default();
        calls.execute(Bomb { at_once: false, waits: true, dropped: Arc::clone(&dropped) });
        assert!(calls.begin(drop));
        assert_eq!(dropped.load(Ordering::SeqCst), 4);
    }
}
