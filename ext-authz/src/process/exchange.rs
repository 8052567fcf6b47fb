//! The order of one stream's messages, without any I/O: every message is answered at once, or gives a body to be read and is answered then.
//! Whatever is out of order, unknown or asked twice is denied, and after a denial everything is.

use bulkhead_content::{Filter, Found, is_plain};
use bulkhead_proto::pb::envoy::service::ext_proc::v3::ProcessingResponse;

use super::{
    Side, answer,
    events::Events,
    message::{Head, Message},
    plan::Plan,
    reader::{Reading, Refusal, Representation},
};
use crate::{
    guardrails::body::is_stream,
    verdict::{Denial, Process, Reason},
};

#[cfg(test)]
pub(crate) mod tests;

/// One stream: one request and its answer.
pub struct Exchange {
    plan: Result<Plan, Denial>,
    decision_id: String,
    method: String,
    phase: Phase,
    /// Which bodies were written anew: the request's, the answer's.
    rewritten: [bool; 2],
    /// What denied it: whatever comes after is answered with it, and is no denial of its own.
    denied: Option<Box<ProcessingResponse>>,
}

/// What has been seen, and so what may come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing yet.
    Fresh,
    /// The request's head has passed, and its body must be read before anything goes further.
    RequestBody(Representation),
    /// The request goes to the upstream: read, or not to be read.
    Forwarded,
    /// The answer's head has passed, and its body must be read.
    ResponseBody(Representation),
    /// The answer's head has passed, and its events are read as they come.
    ResponseEvents(Events),
    /// The answer goes to the caller: read, or not to be read.
    Answered,
    /// A body is being read.
    Reading(Side),
    /// Events are being read, of a stream that ends with them or goes on.
    ReadingEvents { stream: Events, events: Vec<u8>, then: Then },
    /// Nothing goes anywhere any more.
    Denied,
}

/// What follows events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Others may.
    More,
    /// Nothing: the stream ends with them.
    End,
    /// Trailers, which are here already: the stream has ended.
    Trailers,
}

/// What is to be done about a message.
pub enum Next {
    /// Send this.
    Answer(Answer),
    /// Read this body with the plan's readers of that side, then ask [`Exchange::read`] for the answer.
    Read(Side, Representation, Vec<u8>),
}

/// An answer, and why if it denies.
pub struct Answer {
    /// What goes to Envoy.
    pub response: Box<ProcessingResponse>,
    /// What is to be told of a denial.
    pub denied: Option<(Side, Box<Refusal>)>,
}

impl Exchange {
    /// A stream, from what its first message tells. `decision_id` is for denials where there is no plan.
    #[must_use]
    pub fn new(plan: Result<Plan, Denial>, decision_id: Option<String>) -> Self {
        let decision_id = plan.as_ref().map(|plan| plan.decision_id.clone()).ok().or(decision_id).unwrap_or_default();
        Self { plan, decision_id, method: String::new(), phase: Phase::Fresh, rewritten: [false; 2], denied: None }
    }

    /// What is done with the bodies, if that is known.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref().ok()
    }

    /// The decision that the stream belongs to; empty where none is known.
    #[must_use]
    pub fn decision_id(&self) -> &str {
        &self.decision_id
    }

    /// Takes a message.
    pub fn take(&mut self, message: Message) -> Next {
        let phase = std::mem::replace(&mut self.phase, Phase::Denied);
        match (phase, message) {
            (Phase::Fresh, Message::RequestHeaders(head)) => self.request_headers(&head),
            (Phase::Fresh, Message::ResponseHeaders(head)) => self.own_reply(&head),
            (Phase::RequestBody(representation), Message::RequestBody(body)) => self.reading(Side::Request, representation, body),
            // The body was never shown. What Envoy answers by itself (413) passes; anything else went past us (fact 2).
            (Phase::RequestBody(_), Message::ResponseHeaders(head)) if head.is_envoys() => self.response_headers(&head),
            (Phase::RequestBody(_), Message::ResponseHeaders(_)) => Next::Answer(self.deny(Side::Response, unshown())),
            (Phase::Forwarded, Message::ResponseHeaders(head)) => self.response_headers(&head),
            (Phase::ResponseBody(representation), Message::ResponseBody(body, _)) => self.reading(Side::Response, representation, body),
            (Phase::ResponseEvents(stream), Message::ResponseBody(piece, ends)) => self.events(stream, &piece, ends),
            (Phase::ResponseEvents(stream), Message::ResponseTrailers) => self.end_of_events(stream),
            // An override that was not taken: bodies that nobody reads are shown all the same.
            (phase @ Phase::Forwarded, Message::RequestBody(_)) if !self.process().requests() => {
                self.pass(phase, answer::body(Side::Request, None))
            }
            (phase @ Phase::Answered, Message::ResponseBody(..)) if !self.process().responses() => {
                self.pass(phase, answer::body(Side::Response, None))
            }
            // Envoy shows no body that has no bytes: there is nothing to read.
            (Phase::RequestBody(_), Message::RequestTrailers) => self.trailers(Phase::Forwarded, Side::Request),
            (Phase::ResponseBody(_), Message::ResponseTrailers) => self.trailers(Phase::Answered, Side::Response),
            (phase @ (Phase::Forwarded | Phase::Answered), Message::RequestTrailers) => self.trailers(phase, Side::Request),
            (phase @ Phase::Answered, Message::ResponseTrailers) => self.trailers(phase, Side::Response),
            (phase, message) => {
                let denial = Denial::new(Reason::Unavailable, format!("ext_proc: {} came out of order", message.name()));
                Next::Answer(self.deny(phase.side(), denial))
            }
        }
    }

    /// The answer for a body that [`Next::Read`] gave.
    pub fn read(&mut self, outcome: Result<Reading, Refusal>) -> Answer {
        let (side, response) = match (std::mem::replace(&mut self.phase, Phase::Denied), outcome) {
            (Phase::Reading(side), Ok(reading)) => {
                self.phase = if side == Side::Request { Phase::Forwarded } else { Phase::Answered };
                self.rewritten[usize::from(side == Side::Response)] = reading.body.is_some();
                return Answer { response: Box::new(answer::body(side, reading.body)), denied: None };
            }
            (Phase::ReadingEvents { mut stream, events, then }, Ok(reading)) => {
                stream.rewritten |= reading.body.is_some();
                self.phase = if then == Then::More { Phase::ResponseEvents(stream) } else { Phase::Answered };
                let response = match then {
                    // Of a stream of events nobody knows in its head whether it will be.
                    Then::Trailers => answer::trailers(Side::Response, true),
                    Then::More | Then::End => answer::piece(reading.body.unwrap_or(events)),
                };
                return Answer { response: Box::new(response), denied: None };
            }
            (Phase::Reading(side), Err(refusal)) => (side, refusal),
            (Phase::ReadingEvents { .. }, Err(refusal)) => (Side::Response, refusal),
            _ => return self.fail("a body was read that nobody asked for: this is a fault of ours"),
        };
        self.refuse(side, response)
    }

    /// Whether what came of reading is to be recorded: of an event stream what was found in it, and its end.
    #[must_use]
    pub fn is_told(&self, reading: &Reading) -> bool {
        match &self.phase {
            Phase::ReadingEvents { then, .. } => *then != Then::More || reading.found != Found::default() || reading.unread.is_some(),
            _ => true,
        }
    }

    /// Whether events that came before were written anew.
    #[must_use]
    pub fn has_rewritten(&self) -> bool {
        matches!(&self.phase, Phase::ReadingEvents { stream, .. } if stream.rewritten)
    }

    /// Whether an event stream is on its way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::ResponseEvents(_))
    }

    /// Bytes of an event stream that are held until their event ends.
    #[must_use]
    pub fn waiting(&self) -> usize {
        match &self.phase {
            Phase::ResponseEvents(stream) | Phase::ReadingEvents { stream, .. } => stream.waiting(),
            _ => 0,
        }
    }

    /// Whether an event stream is on its way, or was when something of it was taken to be read.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        matches!(self.phase, Phase::ResponseEvents(_) | Phase::ReadingEvents { .. })
    }

    /// Ends a stream of events before its upstream does.
    pub fn end(&mut self, denial: Denial) -> Answer {
        self.deny(Side::Response, denial)
    }

    /// Denies whatever comes next: a fault of ours, or no time left.
    pub fn fail(&mut self, detail: &'static str) -> Answer {
        self.deny(self.phase.side(), Denial { retry_after: Some(1), ..Denial::new(Reason::Unavailable, detail) })
    }

    fn process(&self) -> Process {
        self.plan.as_ref().map(Plan::process).unwrap_or_default()
    }

    fn request_headers(&mut self, head: &Head) -> Next {
        let process = match &self.plan {
            Ok(plan) => plan.process(),
            Err(denial) => return Next::Answer(self.deny(Side::Request, denial.clone())),
        };
        // Check refuses it too; here it is seen again because Check may stand elsewhere.
        if process != Process::None && is_stream(head.text(":method").unwrap_or_default(), &head.headers) {
            let denial = Denial::new(Reason::Unavailable, "upgrades, CONNECT and gRPC do not show their bodies");
            return Next::Answer(self.deny(Side::Request, denial));
        }
        head.text(":method").unwrap_or_default().clone_into(&mut self.method);
        let owed = process.requests() && !head.ends;
        let phase = if owed { Phase::RequestBody(Representation::of(&head.headers)) } else { Phase::Forwarded };
        self.pass(phase, answer::request_headers(process))
    }

    /// An answer before any request: Envoy's own, of a filter before this one (a 401 of ours, a 429), which Envoy sends through every filter.
    fn own_reply(&mut self, head: &Head) -> Next {
        match &self.plan {
            // It is read all the same: were the filter set up to skip the heads of requests, this would be the upstream's answer.
            Ok(plan) if head.is_envoys() || !plan.process().requests() => self.response_headers(head),
            Ok(_) => Next::Answer(self.deny(Side::Response, unshown())),
            Err(_) if head.is_envoys() => self.pass(Phase::Answered, answer::response_headers()),
            Err(denial) => Next::Answer(self.deny(Side::Response, denial.clone())),
        }
    }

    fn response_headers(&mut self, head: &Head) -> Next {
        let read = self.process().responses();
        if let Some(denial) = read.then(|| self.unreadable(head)).flatten() {
            return Next::Answer(self.deny(Side::Response, denial));
        }
        match Representation::of(&head.headers) {
            _ if !read || head.ends => self.pass(Phase::Answered, answer::response_headers()),
            representation if is_event_stream(head) => {
                let process = self.process();
                self.pass(Phase::ResponseEvents(Events::new(representation)), answer::event_stream(process))
            }
            representation => self.pass(Phase::ResponseBody(representation), answer::response_headers()),
        }
    }

    /// A piece of an event stream: what is whole of it is read, and what is not waits.
    fn events(&mut self, mut stream: Events, piece: &[u8], ends: bool) -> Next {
        let events = match stream.take(piece, ends) {
            Ok(events) => events,
            Err(denial) => return Next::Answer(self.deny(Side::Response, denial)),
        };
        if events.is_empty() && !ends {
            return self.pass(Phase::ResponseEvents(stream), answer::piece(events));
        }
        let representation = stream.representation.clone();
        self.phase = Phase::ReadingEvents { stream, events: events.clone(), then: if ends { Then::End } else { Then::More } };
        Next::Read(Side::Response, representation, events)
    }

    /// Trailers end an event stream. An event that has begun and does not end is none (WHATWG HTML, section 9.2.6), and its place has passed: it is left out.
    fn end_of_events(&mut self, mut stream: Events) -> Next {
        stream.rewritten |= stream.waiting() > 0;
        let representation = stream.representation.clone();
        self.phase = Phase::ReadingEvents { stream, events: Vec::new(), then: Then::Trailers };
        Next::Read(Side::Response, representation, Vec::new())
    }

    /// Why the body of an answer cannot be read, as far as its head says it.
    fn unreadable(&self, head: &Head) -> Option<Denial> {
        let fault = |reason, detail| Some(Denial::new(reason, detail));
        let length = head.text("content-length").and_then(|length| length.parse::<usize>().ok());
        if head.status() == 101 || (self.method == "CONNECT" && head.status() < 300) {
            fault(Reason::Unavailable, "the policy reads answers, and a tunnel shows none")
        } else if head.ends {
            None
        } else if head.status() == 206 || head.media_type() == "multipart/byteranges" {
            fault(Reason::Unreadable, "the upstream answers with a part, and what is looked for may be cut in two")
        } else if self.method == "GET" && head.media_type() == EVENT_STREAM && !is_event_stream(head) {
            fault(Reason::Unreadable, "the policy reads answers, and this one is a stream of events in a coding, that may have no end")
        } else if is_event_stream(head) && !self.plan().is_some_and(|plan| plan.watched) {
            let detail = "the policy reads answers since the request was let in, and nobody knows how long a stream of events may last";
            // What a POST asked for was done, and may not be wanted twice.
            Some(Denial { retry_after: (self.method == "GET").then_some(1), ..Denial::new(Reason::Unavailable, detail) })
        } else if length.is_some_and(|length| length > Filter::MAX_BYTES) {
            fault(Reason::TooLarge, "the answer is larger than what is read")
        } else {
            None
        }
    }

    fn trailers(&mut self, phase: Phase, side: Side) -> Next {
        let rewritten = self.rewritten[usize::from(side == Side::Response)];
        self.pass(phase, answer::trailers(side, rewritten))
    }

    fn reading(&mut self, side: Side, representation: Representation, body: Vec<u8>) -> Next {
        self.phase = Phase::Reading(side);
        Next::Read(side, representation, body)
    }

    /// Goes on in a phase.
    fn pass(&mut self, phase: Phase, response: ProcessingResponse) -> Next {
        self.phase = phase;
        Next::Answer(Answer { response: Box::new(response), denied: None })
    }

    fn deny(&mut self, side: Side, denial: Denial) -> Answer {
        self.refuse(side, Refusal::new(side, denial))
    }

    fn refuse(&mut self, side: Side, refusal: Refusal) -> Answer {
        self.phase = Phase::Denied;
        // Envoy sends on what it had before the first answer reached it. One end has one record (S11).
        if let Some(response) = &self.denied {
            return Answer { response: response.clone(), denied: None };
        }
        let response = Box::new(answer::denial(side, &refusal, &self.decision_id));
        self.denied = Some(response.clone());
        Answer { response, denied: Some((side, Box::new(refusal))) }
    }
}

const EVENT_STREAM: &str = "text/event-stream";

/// Whether events can be read as they come: one type, and no coding.
fn is_event_stream(head: &Head) -> bool {
    head.media_type() == EVENT_STREAM && head.headers.all("content-type").count() == 1 && is_plain(head.headers.all("content-encoding"))
}

impl Phase {
    /// Whose fault it is what goes wrong now, or at whose cost.
    const fn side(&self) -> Side {
        match self {
            Self::Fresh | Self::RequestBody(_) | Self::Denied | Self::Reading(Side::Request) => Side::Request,
            Self::Forwarded
            | Self::ResponseBody(_)
            | Self::ResponseEvents(_)
            | Self::ReadingEvents { .. }
            | Self::Answered
            | Self::Reading(Side::Response) => Side::Response,
        }
    }
}

fn unshown() -> Denial {
    Denial::new(
        Reason::Unavailable,
        "the request's body had to be read and was not shown: ext_proc is bypassed (request_header_mode SEND?)",
    )
}
