//! A client of Envoy: HTTP/1.1 connections that each send their next request when the last one was answered.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime,
    sync::oneshot,
};

use crate::client::{Sent, WORKERS};

/// Requests as they stand on the wire, sent round and round.
#[derive(Clone)]
pub(crate) struct Requests {
    texts: Arc<[String]>,
    next: Arc<AtomicUsize>,
}

impl Requests {
    pub(crate) fn new(texts: impl Iterator<Item = String>) -> Self {
        Self { texts: texts.collect(), next: Arc::default() }
    }

    fn next(&self) -> &[u8] {
        self.texts[self.next.fetch_add(1, Ordering::Relaxed) % self.texts.len()].as_bytes()
    }
}

/// Keeps that many connections busy for a while, shared by the threads that a gRPC client has too.
pub(crate) async fn send(to: SocketAddr, requests: &Requests, connections: usize, time: Duration) -> Sent {
    let working = (0..WORKERS).map(|worker| {
        let (answer, answered) = oneshot::channel();
        let (requests, share) = (requests.clone(), connections / WORKERS + usize::from(worker < connections % WORKERS));
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let sent = runtime.block_on(join_all((0..share).map(|_| connection(to, &requests, time))));
            drop(answer.send(Sent::together(sent)));
        });
        answered
    });
    let sent = join_all(working.collect::<Vec<_>>()).await;
    Sent::together(sent.into_iter().map(|sent| sent.expect("a thread answers")))
}

async fn connection(to: SocketAddr, requests: &Requests, time: Duration) -> Sent {
    let mut stream = TcpStream::connect(to).await.expect("Envoy listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let (mut sent, mut buffer) = (Sent::default(), Vec::with_capacity(4_096));
    let mut begun = Instant::now();
    let end = begun + time;
    while begun < end {
        stream.write_all(requests.next()).await.expect("the connection stays");
        sent.refused += usize::from(status(&mut stream, &mut buffer).await != 200);
        let answered = Instant::now();
        sent.latencies.push(u32::try_from((answered - begun).as_nanos()).unwrap_or(u32::MAX));
        begun = answered;
    }
    sent
}

/// Reads one answer whole, and tells its status.
async fn status(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    buffer.clear();
    loop {
        assert_ne!(stream.read_buf(buffer).await.expect("the connection stays"), 0, "Envoy keeps the connection");
        let Some(head) = buffer.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length:")).map_or(0, |length| length.trim().parse().expect("a length"));
        while buffer.len() < head + 4 + length {
            assert_ne!(stream.read_buf(buffer).await.expect("the connection stays"), 0, "Envoy sends what it announced");
        }
        return text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an HTTP/1.1 status line");
    }
}
