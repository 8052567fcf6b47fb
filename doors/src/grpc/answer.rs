//! The body of an answer: one message and the trailers that say it is whole, or nothing where the headers said why not.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue};
use hyper::body::{Body, Frame, SizeHint};
use prost::bytes::Bytes;
use tonic::Status;

/// What is left to send.
pub(crate) enum Answer {
    /// A message, with its head, and then the trailers.
    Message(Bytes),
    Trailers,
    End,
    /// Of a method that was routed.
    Routed(tonic::body::Body),
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match &mut *self {
            Self::Routed(body) => return Pin::new(body).poll_frame(context),
            Self::End => return Poll::Ready(None),
            Self::Message(message) => {
                let frame = Frame::data(std::mem::take(message));
                *self = Self::Trailers;
                frame
            }
            Self::Trailers => {
                *self = Self::End;
                Frame::trailers(HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]))
            }
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::End => true,
            Self::Message(_) | Self::Trailers => false,
            Self::Routed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Message(message) => SizeHint::with_exact(message.len() as u64),
            Self::Trailers | Self::End => SizeHint::with_exact(0),
            Self::Routed(body) => body.size_hint(),
        }
    }
}
