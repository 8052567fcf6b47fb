//! The client: one thread and one HTTP/2 connection for each worker that an Envoy on two cores has. What it does for a call is the same for
//! service and floor, and little: requests are encoded beforehand, and of an answer it reads the verdict.

use std::{
    thread,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
};
use tonic::{
    client::Grpc,
    transport::{Channel, Endpoint},
};

use crate::{calls::Calls, codec::Raw};

/// How many workers an Envoy on two cores has.
pub(crate) const WORKERS: usize = 2;

/// Connections to one server.
pub(crate) struct Client {
    workers: Vec<mpsc::UnboundedSender<Order>>,
}

/// What a worker is to do.
struct Order {
    streams: usize,
    time: Duration,
    answer: oneshot::Sender<Sent>,
}

/// What was sent and answered.
#[derive(Default)]
pub(crate) struct Sent {
    /// How long each answer took, in nanoseconds.
    pub(crate) latencies: Vec<u32>,
    /// Answers that were no allow, and calls without an answer.
    pub(crate) refused: usize,
}

impl Client {
    /// Connects to `http://ADDRESS` or `unix:PATH`.
    pub(crate) fn connect(uri: &str, calls: &Calls) -> Self {
        let worker = |_| {
            let (orders, incoming) = mpsc::unbounded_channel();
            let (uri, calls) = (uri.to_owned(), calls.clone());
            // As in Envoy, a connection and its calls live on one thread: no call crosses threads inside the client.
            thread::spawn(move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(work(&uri, &calls, incoming));
            });
            orders
        };
        Self { workers: (0..WORKERS).map(worker).collect() }
    }

    /// Keeps `streams` calls in flight for a while: each is sent when the one before it was answered.
    pub(crate) async fn send(&self, streams: usize, time: Duration) -> Sent {
        let shares = (0..WORKERS).map(|worker| streams / WORKERS + usize::from(worker < streams % WORKERS));
        let working = self.workers.iter().zip(shares).map(|(worker, streams)| {
            let (answer, answered) = oneshot::channel();
            worker.send(Order { streams, time, answer }).expect("a worker works until it is dropped");
            answered
        });
        let sent = join_all(working.collect::<Vec<_>>()).await;
        Sent::together(sent.into_iter().map(|sent| sent.expect("a worker answers")))
    }
}

impl Sent {
    /// What several sent, in order of latency.
    pub(crate) fn together(all: impl IntoIterator<Item = Self>) -> Self {
        let mut together = Self::default();
        for sent in all {
            together.latencies.extend(sent.latencies);
            together.refused += sent.refused;
        }
        together.latencies.sort_unstable();
        together
    }

    /// The latency, in microseconds, that this share of all answers did not exceed.
    pub(crate) fn latency_us(&self, share: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
        let index = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(index).map_or(f64::NAN, |one| f64::from(*one) / 1e3)
    }
}

async fn work(uri: &str, calls: &Calls, mut orders: mpsc::UnboundedReceiver<Order>) {
    let endpoint = Endpoint::from_shared(uri.to_owned()).expect("an address is a URI").tcp_nodelay(true);
    let channel = endpoint.connect().await.expect("it listens");
    while let Some(order) = orders.recv().await {
        let end = Instant::now() + order.time;
        let streams: Vec<_> = (0..order.streams).map(|_| tokio::spawn(stream(channel.clone(), calls.clone(), end))).collect();
        let sent = join_all(streams).await.into_iter().map(|sent| sent.expect("a stream ends"));
        drop(order.answer.send(Sent::together(sent)));
    }
}

async fn stream(channel: Channel, calls: Calls, end: Instant) -> Sent {
    let mut client = Grpc::new(channel);
    let mut sent = Sent::default();
    let mut begun = Instant::now();
    while begun < end {
        client.ready().await.expect("the connection stays");
        let answer = client.unary(tonic::Request::new(calls.next()), calls.path(), Raw).await;
        let answered = Instant::now();
        sent.latencies.push(u32::try_from((answered - begun).as_nanos()).unwrap_or(u32::MAX));
        sent.refused += usize::from(!answer.is_ok_and(|answer| calls.allows(answer.into_inner())));
        begun = answered;
    }
    sent
}
