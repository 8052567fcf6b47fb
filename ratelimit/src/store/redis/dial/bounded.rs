//! A stream that breaks once too much comes over it. A tenant's own store may announce an answer of any length, and whoever reads RESP keeps what it has of an
//! answer until it is whole: the memory of all tenants (S12).

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So many bytes may come since something was last sent. The largest answer of a store to us, a part of a meter or the slots of a cluster in pieces, takes a tenth
/// of it; a store that does not answer is sent a few calls more, before its circuit opens.
const MOST: usize = 4 << 20;

/// The stream.
pub(super) struct Bounded<S> {
    stream: S,
    came: usize,
}

impl<S> Bounded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, came: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.came = self.came.saturating_add(buffer.filled().len().saturating_sub(before));
        if self.came > MOST {
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "the store answers without end")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.came = 0;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn s12_what_has_no_end_breaks_and_answers_do_not() {
        let (near, mut far) = duplex(1 << 16);
        let mut near = Bounded::new(near);
        let half = vec![0_u8; MOST / 2 + 1];
        let store = tokio::spawn(async move {
            for _ in 0..3 {
                far.read_exact(&mut [0]).await.unwrap();
                far.write_all(&half).await.unwrap();
            }
            drop(far.write_all(&half).await);
        });
        let mut answer = vec![0_u8; MOST / 2 + 1];
        for _ in 0..3 {
            near.write_all(b"x").await.unwrap();
            near.read_exact(&mut answer).await.unwrap();
        }
        assert_eq!(near.read_exact(&mut answer).await.unwrap_err().kind(), ErrorKind::InvalidData);
        drop(near);
        store.await.unwrap();
    }
}
