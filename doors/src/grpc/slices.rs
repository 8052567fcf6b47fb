//! What a connection reads in one turn. A large message is read, like all else, by its connection's task, before anybody knows whose it is; and all that has come is read at once,
//! up to a megabyte. Connections that have a few hundred bytes to read would wait for it. So each reads a slice in its turn, and the next one when the others have had theirs.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many bytes are read in one turn, about: some hundred usual calls, or what takes a tenth of a millisecond.
const SLICE: usize = 128 << 10;

/// What is left of a connection's slice.
#[derive(Debug, Clone)]
pub(super) struct Slice(Arc<AtomicUsize>);

impl Default for Slice {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(SLICE)))
    }
}

impl Slice {
    /// Begins a turn.
    pub(super) fn renew(&self) {
        self.0.store(SLICE, Ordering::Relaxed);
    }

    /// Whether nothing more is read in this turn. Nobody wakes the connection for what is left: it is to have another turn.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn take(&self, bytes: usize) {
        // One task reads, and the same one renews.
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(bytes), Ordering::Relaxed);
    }
}

/// A connection that is read in slices.
pub(super) struct Sliced<C> {
    connection: C,
    slice: Slice,
}

impl<C> Sliced<C> {
    pub(super) fn new(connection: C, slice: Slice) -> Self {
        Self { connection, slice }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Sliced<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.slice.is_used_up() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.connection).poll_read(context, buffer);
        self.slice.take(buffer.filled().len().saturating_sub(before));
        polled
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Sliced<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, task::Waker};

    use super::*;

    #[test]
    fn s5_what_is_read_in_one_turn_is_bounded_however_much_has_come() {
        let slice = Slice::default();
        let mut sliced = Sliced::new(tokio::io::repeat(b'x'), slice.clone());
        let mut turn = || {
            let (mut room, mut read) = (vec![0; 16 << 10], 0);
            loop {
                let mut buffer = ReadBuf::new(&mut room);
                match Pin::new(&mut sliced).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
                    Poll::Ready(done) => done.map(|()| read += buffer.filled().len()).unwrap(),
                    Poll::Pending => return read,
                }
            }
        };
        assert_eq!((turn(), slice.is_used_up()), (SLICE, true));
        assert_eq!(turn(), 0);
        slice.renew();
        assert!(!slice.is_used_up());
        assert_eq!(turn(), SLICE);
    }

    /// That a connection waits for more is known to whoever brings it, not to the slice.
    #[test]
    fn a_connection_that_has_nothing_is_not_asked_again() {
        struct Empty(Arc<AtomicBool>);
        impl AsyncRead for Empty {
            fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                self.0.store(true, Ordering::Relaxed);
                Poll::Pending
            }
        }
        let (asked, slice) = (Arc::new(AtomicBool::new(false)), Slice::default());
        let mut sliced = Sliced::new(Empty(Arc::clone(&asked)), slice.clone());
        let mut buffer = ReadBuf::new(&mut []);
        assert!(Pin::new(&mut sliced).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer).is_pending());
        assert!(asked.load(Ordering::Relaxed) && !slice.is_used_up());
    }
}
