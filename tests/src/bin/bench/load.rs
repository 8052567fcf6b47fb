//! Sends calls and measures: so many streams at once, service and floor in turn.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tonic::transport::{Channel, Endpoint};

use crate::calls::Calls;

/// How to measure.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Requests in flight.
    pub(crate) streams: usize,
    /// Seconds a side and round.
    pub(crate) seconds: f64,
}

/// How often service and floor take turns.
const ROUNDS: usize = 3;

/// What a side did.
#[derive(Clone, Default)]
pub(crate) struct Side {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Latencies in microseconds: half of all were faster.
    pub(crate) p50: f64,
    /// 99 of 100 were faster.
    pub(crate) p99: f64,
    /// 999 of 1,000 were faster.
    pub(crate) p999: f64,
    /// Answers that were no allow.
    pub(crate) refused: usize,
}

/// Both sides.
pub(crate) struct Measured {
    pub(crate) floor: Side,
    pub(crate) service: Side,
}

/// Measures a service against the floor.
pub(crate) async fn compare(floor: SocketAddr, service: SocketAddr, calls: &Calls, plan: Plan) -> Measured {
    let (floor, service) = (connect(floor).await, connect(service).await);
    // First sight of every token, connections, and whatever else happens once.
    round(&service, calls, Plan { streams: plan.streams.max(50), seconds: plan.seconds.max(1.0) }).await;
    round(&floor, calls, Plan { seconds: plan.seconds / 4.0, ..plan }).await;
    let mut sides = [Samples::default(), Samples::default()];
    for _ in 0..ROUNDS {
        for (channels, side) in [&floor, &service].into_iter().zip(&mut sides) {
            side.add(round(channels, calls, plan).await);
        }
    }
    let [floor, service] = sides.map(Samples::side);
    Measured { floor, service }
}

/// Envoy keeps a connection a worker; two workers here.
async fn connect(address: SocketAddr) -> Arc<Vec<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI").tcp_nodelay(true);
    let channels = join_all((0..2).map(|_| endpoint.connect())).await;
    Arc::new(channels.into_iter().map(|channel| channel.expect("it listens")).collect())
}

#[derive(Default)]
struct Samples {
    latencies: Vec<Duration>,
    refused: usize,
    time: Duration,
}

impl Samples {
    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.refused += other.refused;
        self.time += other.time;
    }

    fn side(mut self) -> Side {
        self.latencies.sort_unstable();
        let at = |share: f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
            let index = (self.latencies.len() as f64 * share) as usize;
            self.latencies.get(index.min(self.latencies.len().saturating_sub(1))).map_or(0.0, |one| one.as_secs_f64() * 1e6)
        };
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let rate = self.latencies.len() as f64 / self.time.as_secs_f64();
        Side { rate, p50, p99, p999, refused: self.refused }
    }
}

async fn round(channels: &Arc<Vec<Channel>>, calls: &Calls, plan: Plan) -> Samples {
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(plan.seconds);
    let streams = (0..plan.streams).map(|stream| {
        let channel = &channels[stream % channels.len()];
        async move {
            let mut samples = Samples::default();
            while Instant::now() < end {
                let sent = Instant::now();
                let allowed = calls.send(channel).await;
                samples.latencies.push(sent.elapsed());
                samples.refused += usize::from(!allowed);
            }
            samples
        }
    });
    let mut all = Samples::default();
    for samples in join_all(streams).await {
        all.add(samples);
    }
    all.time = start.elapsed();
    all
}
