//! Measures service and floor in turn, in rounds so short that what else the machine does meets both alike.

use std::time::{Duration, Instant};

use crate::{
    calls::Calls,
    client::Client,
    cpu,
    median::{median, of_ratios},
};

/// How often service and floor take turns. Every figure is the median over the rounds.
pub(crate) const ROUNDS: usize = 5;

/// The longest that a warm-up takes: first sight of every token and tenant, connections, and whatever else happens once.
const WARM_UP: Duration = Duration::from_secs(1);
/// The same of leases, which are taken by what came in spans of 4 s.
pub(crate) const WARM_UP_OF_LEASES: Duration = Duration::from_secs(5);

/// A server, and the store behind it.
pub(crate) struct Subject {
    /// `http://ADDRESS` or `unix:PATH`.
    pub(crate) uri: String,
    pub(crate) process: u32,
    pub(crate) store: Option<u32>,
}

/// What a side did in one round. Times are in microseconds; processor times are those of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Latencies: half of all were faster, 99 of 100, 999 of 1,000.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) client_cpu: f64,
    pub(crate) server_cpu: f64,
    pub(crate) store_cpu: f64,
    /// Answers that were no allow.
    pub(crate) refused: usize,
}

impl Round {
    /// Processor time of everything together.
    pub(crate) fn all_cpu(&self) -> f64 {
        self.client_cpu + self.server_cpu + self.store_cpu
    }
}

/// All rounds of both sides.
pub(crate) struct Measured {
    pub(crate) floor: Vec<Round>,
    pub(crate) service: Vec<Round>,
    /// Of first sights: what the crypto library alone needs for a signature, in microseconds.
    pub(crate) alone_us: Option<f64>,
    /// Of first sights: by how much the service grew for each token that it was shown, in bytes.
    pub(crate) bytes_a_token: Option<f64>,
}

impl Measured {
    /// The service's figure over the floor's of the same turn: the median.
    pub(crate) fn ratio(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        of_ratios(self.service.iter().map(&figure), self.floor.iter().map(&figure))
    }

    /// What a server that does nothing but verify would need, over what the service needs, in processor time.
    pub(crate) fn share_of_signature(&self) -> f64 {
        let alone = self.alone_us.unwrap_or(0.0);
        of_ratios(self.floor.iter().map(|floor| floor.server_cpu + alone), self.service.iter().map(|service| service.server_cpu))
    }

    /// Answers of the service that were no allow, in all rounds.
    pub(crate) fn refused(&self) -> usize {
        self.service.iter().map(|round| round.refused).sum()
    }
}

/// The median of a figure over rounds.
pub(crate) fn middle(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    median(rounds.iter().map(figure))
}

/// How long a warm-up takes where nothing lasts.
pub(crate) fn warm_up(time: Duration) -> Duration {
    WARM_UP.min(time * 2)
}

/// Measures a service that was warmed up so long against the floor, each side for `time` in each round.
pub(crate) async fn compare(
    floor: &Subject,
    service: &Subject,
    calls: &Calls,
    streams: usize,
    time: Duration,
    warm_up: Duration,
) -> Measured {
    let clients = [floor, service].map(|subject| (subject, Client::connect(&subject.uri, calls)));
    let [(_, floors), (_, services)] = &clients;
    floors.send(streams.max(50), self::warm_up(time)).await;
    services.send(streams.max(50), warm_up).await;
    let mut sides = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((subject, client), side) in clients.iter().zip(&mut sides) {
            side.push(round(subject, client, streams, time).await);
        }
    }
    let [floor, service] = sides;
    Measured { floor, service, alone_us: None, bytes_a_token: None }
}

async fn round(subject: &Subject, client: &Client, streams: usize, time: Duration) -> Round {
    let used = || [std::process::id()].into_iter().chain([subject.process]).chain(subject.store).map(cpu::used_us).collect::<Vec<_>>();
    let (begun, before) = (Instant::now(), used());
    let sent = client.send(streams, time).await;
    let (after, seconds) = (used(), begun.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let calls = sent.latencies.len() as f64;
    let cpu = |process: usize| match (before.get(process), after.get(process)) {
        (Some(before), Some(after)) => (after - before) / calls,
        _ => 0.0,
    };
    Round {
        rate: calls / seconds,
        p50: sent.latency_us(0.5),
        p99: sent.latency_us(0.99),
        p999: sent.latency_us(0.999),
        client_cpu: cpu(0),
        server_cpu: cpu(1),
        store_cpu: cpu(2),
        refused: sent.refused,
    }
}
