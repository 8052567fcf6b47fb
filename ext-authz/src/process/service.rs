//! Moves the messages of a stream: each is answered, in time, whatever happens.

use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use bulkhead_content::{Found, Unscannable};
use bulkhead_doors::traces::{Span, Traces};
use bulkhead_proto::pb::envoy::service::ext_proc::v3::{
    ProcessingRequest, ProcessingResponse, external_processor_server::ExternalProcessor,
};
use bulkhead_tenancy::{clock::Clock, snapshot::Live};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use tokio::{
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Side,
    exchange::{Answer, Exchange, Next},
    message::{Buffering, Message},
    plan::Plan,
    reader::{self, Reading, Refusal, Representation},
    told::Told,
};
use crate::{
    offload::{Crowd, Hold, Offload, Turn},
    record::{Handled, Kept, Processed, Record},
    tenant::KeysInForce,
    verdict::{Denial, Facts, Findings, Reason},
};

#[cfg(test)]
mod tests;

/// The service.
#[derive(Clone)]
pub struct ProcessService {
    processor: Arc<Processor>,
    traces: Traces,
}

#[derive(Clone)]
struct Processor {
    live: Live,
    clock: Arc<dyn Clock>,
    offload: Arc<Offload>,
    /// How long one message may take.
    patience: Duration,
    records: Arc<dyn Record>,
    /// By which streams of events are looked after.
    keys: Option<KeysInForce>,
}

/// One stream in progress.
struct Conversation<M> {
    messages: M,
    exchange: Option<Exchange>,
    processor: Arc<Processor>,
    /// Room for what waits of an event stream.
    waiting: Option<Hold>,
    broken: bool,
    span: Span,
    begun: Instant,
    /// When the key was last looked for that let it in.
    looked: Instant,
}

/// What there is to answer.
enum Came {
    /// A message of Envoy's.
    Message(Box<ProcessingRequest>),
    /// Nothing; but an open stream of events must not go on.
    Over(Denial),
    /// Envoy's reset, which is how each stream ends, or a message that cannot be read.
    Broken,
}

/// How often it is seen to that a stream of events, in which nothing may come for long, may still be open.
const LOOK: Duration = Duration::from_secs(1);

impl ProcessService {
    /// A service that reads the snapshot of the moment at the start of each stream, reads bodies in `offload`'s places, denies a body that
    /// was not read within `patience`, and tells `records` what it did with them. `clock` tells when the token expires that a stream of events was
    /// opened with.
    #[must_use]
    pub fn new(live: Live, clock: Arc<dyn Clock>, offload: Arc<Offload>, patience: Duration, records: Arc<dyn Record>) -> Self {
        let processor = Arc::new(Processor { live, clock, offload, patience, records, keys: None });
        Self { processor, traces: Traces::default() }
    }

    /// The same service, whose streams of events end with the keys of the tokens that they were opened with.
    #[must_use]
    pub fn looking_after(self, keys: KeysInForce) -> Self {
        let processor = Processor { keys: Some(keys), ..Processor::clone(&self.processor) };
        Self { processor: Arc::new(processor), ..self }
    }

    /// The same service, with a span for each stream.
    #[must_use]
    pub fn tracing(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// The answers to messages, one each. The stream ends as if all were well only after Envoy has said that nothing more comes.
    fn converse<M>(
        &self,
        messages: M,
        exchange: Option<Exchange>,
        span: Span,
    ) -> impl Stream<Item = Result<ProcessingResponse, Status>> + Send + use<M>
    where
        M: Stream<Item = Result<ProcessingRequest, Status>> + Send + Unpin,
    {
        let processor = Arc::clone(&self.processor);
        let now = Instant::now();
        let start = Conversation { messages, exchange, processor, waiting: None, broken: false, span, begun: now, looked: now };
        stream::unfold(start, |mut conversation| async move {
            if conversation.broken {
                return None;
            }
            match conversation.next().await? {
                Came::Message(message) => Some((Ok(conversation.answer(*message).await), conversation)),
                // Envoy takes an immediate response at any moment, and asks nothing after it.
                Came::Over(denial) => Some((Ok(conversation.end(denial).await), conversation)),
                // If it is a message that cannot be read, Envoy waits for an answer, and an end without an error would let the body through (fact 3).
                Came::Broken => {
                    conversation.broken = true;
                    Some((Err(Status::internal("the stream cannot be read")), conversation))
                }
            }
        })
    }
}

impl<M: Stream<Item = Result<ProcessingRequest, Status>> + Unpin> Conversation<M> {
    /// What comes next; nothing where Envoy has said that it was all.
    async fn next(&mut self) -> Option<Came> {
        let message = loop {
            if !self.exchange.as_ref().is_some_and(Exchange::is_open) {
                break self.messages.next().await;
            }
            match timeout(LOOK, self.messages.next()).await {
                Ok(message) => break message,
                Err(_) => match self.over() {
                    Some(denial) => return Some(Came::Over(denial)),
                    None => continue,
                },
            }
        };
        message.map(|message| message.map_or(Came::Broken, |message| Came::Message(Box::new(message))))
    }
}

impl<M> Conversation<M> {
    /// Why an open stream of events must not go on.
    fn over(&mut self) -> Option<Denial> {
        let Processor { live, clock, keys, .. } = &*self.processor;
        let plan = self.exchange.as_ref().filter(|exchange| exchange.is_open())?.plan()?;
        let snapshot = live.load();
        let over = plan.over(snapshot.as_ref(), clock.now_s());
        let now = Instant::now();
        // However fast events come, the key is looked for once in a while.
        if over.is_some() || now.saturating_duration_since(self.looked) < LOOK {
            return over;
        }
        self.looked = now;
        plan.withdrawn(keys.as_ref()?, snapshot.as_ref(), now.saturating_duration_since(self.begun))
    }

    /// Ends an open stream of events.
    async fn end(&mut self, denial: Denial) -> ProcessingResponse {
        let until = Instant::now() + self.processor.patience;
        let answer = match &mut self.exchange {
            Some(exchange) => exchange.end(denial),
            None => self.fail("a stream that was not begun: this is a fault of ours"),
        };
        self.told(answer, until).await
    }

    /// The one answer to a message. What breaks or takes too long is denied.
    async fn answer(&mut self, request: ProcessingRequest) -> ProcessingResponse {
        let until = Instant::now() + self.processor.patience;
        let handling = AssertUnwindSafe(timeout_at(until, self.handle(request, until))).catch_unwind();
        let answer = match handling.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => self.fail("the body was not read in time"),
            Err(_) => self.fail("reading the body broke: this is a fault of ours"),
        };
        self.told(answer, until).await
    }

    /// What goes to Envoy; a denial is put on record.
    async fn told(&mut self, Answer { response, denied }: Answer, until: Instant) -> ProcessingResponse {
        if let Some((side, refusal)) = denied {
            let Refusal { denial, found, unread, .. } = *refusal;
            self.span.verdict(denial.reason.name());
            if denial.reason == Reason::Unavailable {
                self.span.failed();
            }
            // Denied is denied, whether or not it is on record.
            let _ = self.processor.tell(self.exchange.as_ref(), side, (*found, unread), Handled::Denied(denial)).until(until).await;
        }
        *response
    }

    async fn handle(&mut self, request: ProcessingRequest, until: Instant) -> Answer {
        let over = self.over();
        let (processor, span) = (&self.processor, &mut self.span);
        let exchange = self.exchange.get_or_insert_with(|| {
            let metadata = request.metadata_context.as_ref();
            let plan = Plan::of(metadata, Buffering::of(&request), processor.live.load().as_ref());
            let exchange = Exchange::new(plan, Told::decision_id(metadata));
            tell(span, &exchange);
            exchange
        });
        if let Some(denial) = over {
            return exchange.end(denial);
        }
        let next = exchange.take(Message::of(request));
        self.waiting = None;
        if let (Some(plan), bytes @ 1..) = (exchange.plan(), exchange.waiting()) {
            match self.processor.offload.hold(&plan.tenant.uid, bytes) {
                Ok(hold) => self.waiting = Some(hold),
                Err(_) => return exchange.fail("too many bytes of bodies are held"),
            }
        }
        let (side, representation, body) = match next {
            Next::Answer(answer) => return answer,
            Next::Read(side, representation, body) => (side, representation, body),
        };
        let Some(plan) = exchange.plan() else { return exchange.fail("a body without a plan: this is a fault of ours") };
        let mut outcome = self.processor.read(plan, side, representation, body, until).await;
        if let Some(reading) = outcome.as_ref().ok().filter(|reading| exchange.is_told(reading)) {
            let handled = handled(reading, exchange.has_rewritten());
            self.span.body(side.name(), handled.name());
            let kept = self.processor.tell(Some(exchange), side, (reading.found.clone(), reading.unread), handled);
            if let Err(refused) = kept.until(until).await {
                outcome = Err(Refusal::new(side, Denial::new(Reason::Unavailable, format!("`audit: full`, and {refused}"))));
            }
        }
        exchange.read(outcome)
    }

    fn fail(&mut self, detail: &'static str) -> Answer {
        let denial = || Denial::new(Reason::Unavailable, detail);
        self.exchange.get_or_insert_with(|| Exchange::new(Err(denial()), None)).fail(detail)
    }
}

/// How long the record of a stream that was cut may take to be written.
const CUT_RECORDED: Duration = Duration::from_secs(30);

impl<M> Drop for Conversation<M> {
    /// A stream of events that was cut, by its caller or its upstream, ends on record, too. Nobody waits for
    /// that: nothing goes on.
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.as_ref().filter(|exchange| exchange.is_begun()) {
            self.span.body(Side::Response.name(), Handled::Cut.name());
            self.processor.tell(Some(exchange), Side::Response, (Found::default(), None), Handled::Cut).unawaited(CUT_RECORDED);
        }
    }
}

/// What a span says of a stream: whose it is, and that nothing was denied yet.
fn tell(span: &mut Span, exchange: &Exchange) {
    let plan = exchange.plan();
    span.tenant(plan.map(|plan| plan.tenant.as_ref()));
    span.api(plan.map(|plan| plan.api.name.as_str()));
    span.decision(Some(exchange.decision_id()).filter(|id| !id.is_empty()));
    span.verdict("allow");
}

/// "Rewritten" is said of a body that was rewritten, if only in what came `before`, and of no other.
fn handled(reading: &Reading, before: bool) -> Handled {
    match (&reading.body, reading.unread) {
        (Some(_), _) => Handled::Rewritten,
        (None, None) if before => Handled::Rewritten,
        (None, Some(why)) => Handled::Unread(why.name()),
        (None, None) => Handled::Kept,
    }
}

impl Processor {
    /// Reads a body within the tenant's share of memory: a small one here, any other off the I/O threads within its share of places.
    async fn read(
        &self,
        plan: &Plan,
        side: Side,
        representation: Representation,
        body: Vec<u8>,
        until: Instant,
    ) -> Result<Reading, Refusal> {
        if body.is_empty() {
            return Ok(Reading::default());
        }
        let refuse = |denial| Refusal::new(side, denial);
        let hold = self.offload.hold(&plan.tenant.uid, body.len()).map_err(|why| Refusal::unread(side, why))?;
        let readers = plan.readers(side).clone();
        let small = readers.iter().all(|reader| reader.is_light(&representation, body.len()));
        if small {
            // However fast events come in one stream, others' messages have their turn between any two.
            yield_now().await;
        }
        // A stream that is under way cannot be asked for again: it waits.
        let turn = Turn { tenant: &plan.tenant.uid, until, crowd: Crowd::Queued };
        self.offload
            .read(turn, small, hold, move |budget| reader::read(&readers, &representation, &body, budget))
            .await
            .map_err(|undone| refuse(undone.into()))?
    }

    fn tell(&self, exchange: Option<&Exchange>, side: Side, (found, unread): (Found, Option<Unscannable>), handled: Handled) -> Kept {
        let plan = exchange.and_then(Exchange::plan);
        let facts = Facts {
            tenant: plan.map(|plan| Arc::clone(&plan.tenant)),
            api: plan.map(|plan| Arc::clone(&plan.api)),
            findings: Findings { pii: found.pii, topics: found.topics, unread, ..Findings::default() },
            ..Facts::default()
        };
        let id = exchange.map(|exchange| exchange.decision_id().to_owned()).unwrap_or_default();
        let platform = self.live.load().map(|snapshot| Arc::clone(snapshot.platform()));
        self.records.processed(&Processed { id, facts, side, handled, platform })
    }
}

#[tonic::async_trait]
impl ExternalProcessor for ProcessService {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(&self, request: Request<Streaming<ProcessingRequest>>) -> Result<Response<Self::ProcessStream>, Status> {
        let span = self.traces.span("Process", request.metadata());
        Ok(Response::new(Box::pin(self.converse(request.into_inner(), None, span))))
    }
}
