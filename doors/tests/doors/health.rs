//! The health door: probes and metrics, and no way to hold it up.

use std::{sync::atomic::Ordering, time::Duration};

use bulkhead_doors::probe::{ProbeArgs, probe};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::house::{House, fetch, serving, until};

#[tokio::test]
async fn readiness_waits_for_a_first_snapshot_on_http_and_grpc() {
    let house = House::open(&[]).await;
    let channel = house.channel().await;
    let grpc = async |service: &str| serving(channel.clone(), service).await.unwrap();

    house.ready.store(false, Ordering::SeqCst);
    assert_eq!(house.health("/readyz").await, (503, "waiting for a first snapshot\n".to_owned()));
    assert_eq!(house.health("/healthz").await.0, 200, "it lives all the same");
    until("gRPC health says no", async || !grpc("").await && !grpc("house.v1.House").await).await;

    house.ready.store(true, Ordering::SeqCst);
    assert_eq!(house.health("/readyz").await.0, 200);
    until("gRPC health says yes", async || grpc("").await && grpc("house.v1.House").await).await;
    assert_eq!(serving(channel.clone(), "someone.else").await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_nothing_else_is_served() {
    let house = House::open(&[]).await;
    let (status, text) = house.health("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("house_total{tenant_id=\"__unresolved__\",verdict=\"allow\"} 1"), "{text}");
    assert_eq!(house.health("/jwks").await, (200, "public".to_owned()));
    for path in ["/", "/snapshot", "/explain", "/debug", "/healthz/", "/readyz/x"] {
        assert_eq!(house.health(path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_client_that_sends_no_request_is_sent_away() {
    let house = House::open(&[]).await;
    let mut silent = TcpStream::connect(house.at.health.to_string()).await.unwrap();
    let mut slow = TcpStream::connect(house.at.health.to_string()).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    // read_to_end returns because the door closes the connection, not because we do.
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_is_sent_away() {
    let house = House::open(&[]).await;
    let mut stream = TcpStream::connect(house.at.health.to_string()).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stream.readable().await.unwrap();
    // Writing fails because the door has closed the connection: to read instead would help the answer on.
    let gone = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it is sent away");
}

#[tokio::test]
async fn one_source_cannot_take_every_place() {
    let house = House::open(&[]).await;
    let connect = || TcpStream::connect(house.at.health.to_string());
    let mut first = connect().await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(connect().await.unwrap());
    }
    let mut last = silent.pop().unwrap();
    // Both are closed in the end; who is past the share is not even waited for.
    let (mut one, mut other) = ([0], [0]);
    tokio::select! {
        _ = first.read(&mut one) => panic!("the first waited for a place before the last was sent away"),
        read = last.read(&mut other) => assert!(matches!(read, Ok(0) | Err(_))),
    }
    let other = reqwest::Client::builder().local_address(std::net::IpAddr::from([127, 0, 0, 2])).build().unwrap();
    assert_eq!(fetch(other.get(format!("http://{}/healthz", house.at.health))).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let house = House::open(&[]).await;
    let mut stream = TcpStream::connect(house.at.health.to_string()).await.unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}", "a".repeat(64 * 1024));
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(house.health("/healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_succeeds_only_where_the_service_is_ready() {
    let house = House::open(&["--health", "0.0.0.0:0"]).await;
    let args = ProbeArgs { health: house.at.health.clone() };
    let probe = async || {
        let args = args.clone();
        tokio::task::spawn_blocking(move || probe(&args)).await.unwrap().is_ok()
    };
    assert!(probe().await);
    house.ready.store(false, Ordering::SeqCst);
    assert!(!probe().await, "not ready");
    house.shutdown.end_at_once();
    house.ended.await.unwrap().unwrap();
    assert!(!probe().await, "gone");
}

#[tokio::test]
async fn s3_what_came_through_the_gateway_is_answered_by_no_door() {
    let house = House::open(&[]).await;
    let client = reqwest::Client::new();
    for path in ["/metrics", "/healthz", "/readyz"] {
        let request = client.get(format!("http://{}{path}", house.at.health)).header("bulkhead-hop", "1");
        assert_eq!(fetch(request).await.unwrap(), (508, String::new()), "{path}");
    }
    assert_eq!(fetch(house.admin("/snapshot").header("bulkhead-hop", "1")).await.unwrap().0, 508);
    assert_eq!(house.health("/metrics").await.0, 200);
}
