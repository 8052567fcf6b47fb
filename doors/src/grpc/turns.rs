//! A connection and its calls, in one task: an answer of the store for a hundred calls wakes a connection, not a hundred tasks.
//!
//! A task that wakes itself while it runs is put at the end of its thread's queue, and another thread is woken to look for it there: that costs more than most
//! decisions. A connection does so in nearly every turn (it has something to write), so here it is polled anew in the same turn instead.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::{StreamExt as _, stream::FuturesUnordered, task::AtomicWaker};

use super::{
    inline::{Call, Inline},
    slices::Slice,
};

/// So often a connection is polled in one turn because of what it did itself. Then others have theirs.
const ROUNDS: usize = 4;

/// So many calls end before what they said is written: where a store hangs, hundreds do at one moment.
const AT_ONCE: usize = 256;

/// A connection, and its calls that wait.
pub(super) struct Turns<C> {
    connection: C,
    begun: Inline,
    slice: Slice,
    calls: FuturesUnordered<Call>,
    turn: Arc<Turn>,
    waker: Waker,
}

impl<C> Turns<C> {
    /// A connection whose calls begin there, and which reads so much in a turn.
    pub(super) fn new(connection: C, begun: Inline, slice: Slice) -> Self {
        let turn = Arc::new(Turn::default());
        Self { connection, begun, slice, calls: FuturesUnordered::new(), waker: Waker::from(Arc::clone(&turn)), turn }
    }

    pub(super) fn connection(&mut self) -> &mut C {
        &mut self.connection
    }

    fn poll_calls(&mut self) {
        for _ in 0..AT_ONCE {
            let Poll::Ready(Some(())) = self.calls.poll_next_unpin(&mut Context::from_waker(&self.waker)) else { return };
        }
        self.waker.wake_by_ref();
    }
}

impl<C: Future + Unpin> Future for Turns<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        this.turn.task.register(context.waker());
        this.slice.renew();
        for _ in 0..ROUNDS {
            this.poll_calls();
            // What the calls said is written next: that they woke the connection asks for no other round. Whatever else woke anybody is polled below.
            this.turn.state.store(POLLED, Ordering::SeqCst);
            if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(&mut Context::from_waker(&this.waker)) {
                return Poll::Ready(ended);
            }
            let all = this.begun.begin(|call| this.calls.push(call));
            this.poll_calls();
            // What is left begins once that is written.
            if all && this.turn.state.compare_exchange(POLLED, WAITS, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                if this.slice.is_used_up() {
                    break;
                }
                return Poll::Pending;
            }
        }
        give_way(context)
    }
}

/// Lets the others have their turn: those that wait, and those that what has come meanwhile wakes. Woken at once, a task would come before whoever nobody has heard of yet.
fn give_way<T>(context: &mut Context<'_>) -> Poll<T> {
    let yielding = std::pin::pin!(tokio::task::yield_now());
    // It is woken in its own time, whether or not anybody waits for this.
    let _ = yielding.poll(context);
    Poll::Pending
}

/// Nobody has woken it since its last turn.
const WAITS: u8 = 0;
/// It has its turn: who wakes it now is heard at the end of the round.
const POLLED: u8 = 1;
/// It was woken.
const WOKEN: u8 = 2;

/// Whether a connection has its turn, and who is to be woken if not.
#[derive(Default)]
struct Turn {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::SeqCst) == WAITS {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests;
