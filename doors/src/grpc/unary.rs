//! A unary method, read and answered without a router, a stream decoder or buffers beyond the message: what tonic does for every kind of call is most of
//! what a decision costs.

use std::{convert::Infallible, future::Future, pin::Pin};

use http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use hyper::body::{Body as _, Incoming};
use prost::{
    Message,
    bytes::{BufMut as _, Bytes, BytesMut},
};
use tonic::{Status, metadata::MetadataMap};

use super::answer::Answer;

/// Before each message: whether it is compressed, and its length (gRPC over HTTP/2, "Length-Prefixed-Message").
const HEAD: usize = 5;

/// The most that room is made for at once, whatever a message says that it has: more when it is there.
const AT_FIRST: usize = 1 << 20;

type Answering = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

/// A method of one request and one answer.
pub struct Unary {
    path: &'static str,
    answer: Box<dyn Fn(Request<Incoming>) -> Answering + Send + Sync>,
}

impl std::fmt::Debug for Unary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unary").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Unary {
    /// The method of a path (`/package.Service/Method`), and the largest request that it takes.
    #[must_use]
    pub fn new<Asked, Said, Call, Calling>(path: &'static str, most_bytes: usize, call: Call) -> Self
    where
        Asked: Askable + 'static,
        Said: Sayable + 'static,
        Call: Fn(tonic::Request<Asked>) -> Calling + Clone + Send + Sync + 'static,
        Calling: Future<Output = Result<tonic::Response<Said>, Status>> + Send + 'static,
    {
        let answer = move |request: Request<Incoming>| -> Answering {
            let call = call.clone();
            Box::pin(async move {
                let (parts, body) = request.into_parts();
                let answered = async {
                    let message = Asked::read(read(body, most_bytes).await?)?;
                    call(tonic::Request::from_parts(MetadataMap::from_headers(parts.headers), parts.extensions, message)).await
                };
                Ok(answered.await.map_or_else(refusal, said))
            })
        };
        Self { path, answer: Box::new(answer) }
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    pub(super) fn answer(&self, request: Request<Incoming>) -> Answering {
        (self.answer)(request)
    }
}

/// What a method can be asked: a message, or one that it reads itself.
pub trait Askable: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// As [`unreadable`] has it.
    fn read(bytes: Bytes) -> Result<Self, Status>;
}

impl<M: Message + Default> Askable for M {
    fn read(bytes: Bytes) -> Result<Self, Status> {
        Self::decode(bytes).map_err(|_| unreadable())
    }
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Unread(pub Bytes);

impl Askable for Unread {
    fn read(bytes: Bytes) -> Result<Self, Status> {
        Ok(Self(bytes))
    }
}

/// What a caller is told whose request is not what the method takes.
#[must_use]
pub fn unreadable() -> Status {
    Status::internal("the request is not the message that this method takes")
}

/// What a method can say: a message, or what is written as one already.
pub trait Sayable {
    /// How many bytes it has.
    fn length(&self) -> usize;

    /// Writes them.
    fn write(&self, bytes: &mut Vec<u8>);
}

impl<M: Message> Sayable for M {
    fn length(&self) -> usize {
        self.encoded_len()
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        self.encode_raw(bytes);
    }
}

/// The one message of a request, once the client has said all.
async fn read(mut body: Incoming, most_bytes: usize) -> Result<Bytes, Status> {
    let (mut whole, mut gathered) = (Bytes::new(), BytesMut::new());
    while !body.is_end_stream() {
        let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await else { break };
        let frame = frame.map_err(|_| Status::cancelled("the call was given up"))?;
        // Trailers of a request say nothing.
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + gathered.len() + data.len() > HEAD + most_bytes {
            return Err(Status::out_of_range("the request is larger than this method takes"));
        }
        // Nearly always one frame, which is taken as it is.
        if whole.is_empty() && gathered.is_empty() {
            whole = data;
        } else {
            if gathered.is_empty() {
                gathered.reserve(stated(&whole).min(most_bytes).min(AT_FIRST));
            }
            gathered.extend_from_slice(&std::mem::take(&mut whole));
            gathered.extend_from_slice(&data);
        }
    }
    if !gathered.is_empty() {
        whole = gathered.freeze();
    }
    let Some((head, message)) = whole.split_first_chunk::<HEAD>() else { return Err(Status::internal("the request has no message")) };
    let [compressed, length @ ..] = *head;
    if compressed != 0 {
        return Err(Status::unimplemented("compressed requests are not taken"));
    }
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err(Status::internal("the request is not one whole message"));
    }
    Ok(whole.slice(HEAD..))
}

/// How long a message says that it is, with its head.
fn stated(begun: &[u8]) -> usize {
    let length = begun.split_first_chunk::<HEAD>().map_or(0, |([_, length @ ..], _)| u32::from_be_bytes(*length));
    usize::try_from(length).unwrap_or(usize::MAX).saturating_add(HEAD)
}

fn said<Said: Sayable>(response: tonic::Response<Said>) -> Response<Answer> {
    let (metadata, message, _) = response.into_parts();
    let length = message.length();
    let Ok(told) = u32::try_from(length) else { return refusal(Status::internal("the answer is too large")) };
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.put_u8(0);
    bytes.put_u32(told);
    message.write(&mut bytes);
    let mut response = Response::new(Answer::Message(bytes.into()));
    *response.headers_mut() = metadata.into_headers();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn refusal(status: Status) -> Response<Answer> {
    status.into_http::<()>().map(|()| Answer::End)
}
