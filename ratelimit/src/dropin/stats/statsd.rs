//! What statsd is told: counters as what came since the last flush, times as milliseconds, in the lines of gostats (`name:4|c`).
//!
//! gostats speaks TCP unless STATSD_PROTOCOL is `udp`, so this does too. A statsd that is not there costs nothing but what it would have been
//! told: a flush that cannot be sent is lost, as counters of statsd always may be.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket, lookup_host},
};

use super::{Stats, name};

/// The most bytes of one datagram: what fits into an Ethernet frame.
const DATAGRAM: usize = 1_432;
/// How long connecting and sending may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where statsd is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statsd {
    /// STATSD_HOST.
    pub host: String,
    /// STATSD_PORT.
    pub port: u16,
    /// Whether STATSD_PROTOCOL is `udp`.
    pub udp: bool,
    /// Whether tags are written as DogStatsD has them (USE_DOG_STATSD): behind the value, not in the name.
    pub dog: bool,
    /// STATS_FLUSH_INTERVAL.
    pub interval: Duration,
}

impl Statsd {
    /// Tells statsd what was counted, at each interval and once more when `stop` ends.
    pub async fn follow(self, stats: &Stats, stop: impl Future<Output = ()>) {
        let mut link = Link::new(self);
        let mut tick = tokio::time::interval(link.to.interval.max(Duration::from_millis(10)));
        let mut stop = std::pin::pin!(stop);
        loop {
            let last = tokio::select! {
                _ = tick.tick() => false,
                () = &mut stop => true,
            };
            link.send(stats.lines(link.to.dog)).await;
            if last {
                return;
            }
        }
    }
}

impl Stats {
    /// The lines of one flush.
    fn lines(&self, dog: bool) -> Vec<String> {
        let (tags, behind) = if dog { (String::new(), name::dog_tags(&self.tags)) } else { (name::tags(&self.tags), String::new()) };
        let mut lines = Vec::new();
        self.each(&tags, |name, counter| {
            let since = counter.latch();
            if since > 0 {
                lines.push(format!("{name}:{since}|c{behind}\n"));
            }
        });
        let (times, all) = self.response_time.latch();
        let rate = if all > times.len() { format!("|@{:.6}", ratio(times.len(), all)) } else { String::new() };
        let time = |us| format!("ratelimit_server.ShouldRateLimit.response_time{tags}:{}|ms{rate}{behind}\n", millis(us));
        lines.extend(times.into_iter().map(time));
        lines
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for eyes")]
fn ratio(part: usize, all: usize) -> f64 {
    part as f64 / all as f64
}

/// Microseconds as milliseconds: whole where they are whole, as gostats writes them.
fn millis(us: u64) -> String {
    if us.is_multiple_of(1_000) { (us / 1_000).to_string() } else { format!("{}.{:03}000", us / 1_000, us % 1_000) }
}

/// The connection, made when there is something to send.
struct Link {
    to: Statsd,
    open: Option<Open>,
    complained: bool,
}

enum Open {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Link {
    fn new(to: Statsd) -> Self {
        Self { to, open: None, complained: false }
    }

    async fn send(&mut self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let sent = tokio::time::timeout(PATIENCE, self.try_send(&lines)).await;
        match sent {
            Ok(Ok(())) => self.complained = false,
            failed => {
                self.open = None;
                // Once an outage: by default statsd is expected at localhost, where often nobody listens.
                if !std::mem::replace(&mut self.complained, true) {
                    let why = failed
                        .map_or_else(|_| "it takes too long".to_owned(), |sent| sent.err().map_or(String::new(), |why| why.to_string()));
                    tracing::info!(statsd = %format_args!("{}:{}", self.to.host, self.to.port), error = why, "cannot tell statsd");
                }
            }
        }
    }

    async fn try_send(&mut self, lines: &[String]) -> std::io::Result<()> {
        // An earlier connection may have been closed behind our back: try a new one once.
        let reused = self.open.is_some();
        match self.write(lines).await {
            Err(_) if reused => {
                self.open = None;
                self.write(lines).await
            }
            done => done,
        }
    }

    async fn write(&mut self, lines: &[String]) -> std::io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect().await?,
        };
        match &mut open {
            Open::Udp(socket) => {
                for datagram in datagrams(lines) {
                    socket.send(datagram.as_bytes()).await?;
                }
            }
            Open::Tcp(stream) => stream.write_all(lines.concat().as_bytes()).await?,
        }
        self.open = Some(open);
        Ok(())
    }

    async fn connect(&self) -> std::io::Result<Open> {
        let address = lookup_host((self.to.host.as_str(), self.to.port)).await?.next();
        let address: SocketAddr = address.ok_or_else(|| std::io::Error::other("the name has no address"))?;
        if !self.to.udp {
            return TcpStream::connect(address).await.map(Open::Tcp);
        }
        let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(Open::Udp(socket))
    }
}

/// Whole lines, packed.
fn datagrams(lines: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        match all.last_mut() {
            Some(last) if last.len() + line.len() <= DATAGRAM => last.push_str(line),
            _ => all.push(line.clone()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_tells_what_came_since_the_last_one() {
        let stats = Stats::new([("zone".to_owned(), "a".to_owned())]);
        stats.limit("d", "d.key_v").total_hits.add(2);
        assert_eq!(stats.lines(false), ["ratelimit.service.rate_limit.d.key_v.total_hits.__zone=a:2|c\n"]);
        stats.limit("d", "d.key_v").total_hits.add(3);
        stats.response_time.record(Duration::from_micros(1_500));
        stats.response_time.record(Duration::from_millis(2));
        assert_eq!(
            stats.lines(false),
            [
                "ratelimit.service.rate_limit.d.key_v.total_hits.__zone=a:3|c\n",
                "ratelimit_server.ShouldRateLimit.response_time.__zone=a:1.500000|ms\n",
                "ratelimit_server.ShouldRateLimit.response_time.__zone=a:2|ms\n",
            ]
        );
        assert!(stats.lines(false).is_empty());
    }

    #[test]
    fn dogs_tags_stand_behind_the_value() {
        let stats = Stats::new([("zone".to_owned(), "a".to_owned()), ("x".to_owned(), "y|z".to_owned())]);
        stats.limit("d", "d.key_v").total_hits.add(2);
        assert_eq!(stats.lines(true), ["ratelimit.service.rate_limit.d.key_v.total_hits:2|c|#x:y_z,zone:a\n"]);
    }

    #[test]
    fn lines_are_never_cut() {
        let lines: Vec<String> = (0..100).map(|number| format!("{}:{number}|c\n", "x".repeat(60))).collect();
        let datagrams = datagrams(&lines);
        assert!(datagrams.len() > 1 && datagrams.iter().all(|one| one.len() <= DATAGRAM && one.ends_with("|c\n")));
        assert_eq!(datagrams.concat(), lines.concat());
    }
}
