//! The end, in order: not ready, then no new calls, then calls in progress, then everything.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::post};
use bulkhead_doors::shutdown::Shutdown;
use tokio::sync::Notify;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::house::{House, serving, until};

/// A call that tells that it began and ends when it is told to.
fn slow_call() -> (Router, Arc<Notify>, Arc<Notify>) {
    let (began, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&began), Arc::clone(&finish));
    let call = move || {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            tell.notify_one();
            wait.notified().await;
            "finished"
        }
    };
    (Router::new().route("/house.v1.House/Slow", post(call)), began, finish)
}

fn call(house: &House) -> tokio::task::JoinHandle<Result<String, reqwest::Error>> {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = client.post(format!("http://{}/house.v1.House/Slow", house.at.grpc));
    tokio::spawn(async move { request.send().await?.text().await })
}

#[tokio::test]
async fn it_is_not_ready_before_it_stops_accepting() {
    let house = House::open(&["--drain-delay", "5m"]).await;
    let channel = house.channel().await;
    house.shutdown.drain();
    assert_eq!(house.health("/readyz").await, (503, "draining\n".to_owned()));
    assert_eq!(house.health("/healthz").await.0, 200);
    until("gRPC health says no", async || !serving(channel.clone(), "house.v1.House").await.unwrap()).await;
    // During the delay new connections are still served.
    assert!(!serving(house.channel().await, "").await.unwrap());
    assert!(!house.ended.is_finished());
    house.shutdown.end_at_once();
    house.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_in_progress_is_finished() {
    let (calls, began, finish) = slow_call();
    let house = House::with_calls(&["--drain-delay", "0s", "--drain", "5m"], calls).await;
    let answer = call(&house);
    began.notified().await;
    house.shutdown.drain();
    let address = house.at.grpc.to_string();
    until("new connections are refused", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    assert_eq!(house.health("/readyz").await.0, 503, "the health door tells of it until the end");
    assert!(!house.ended.is_finished());
    finish.notify_one();
    assert_eq!(answer.await.unwrap().unwrap(), "finished");
    house.ended.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(house.at.health.to_string()).await.is_err());
}

#[tokio::test]
async fn a_call_that_does_not_end_is_left_behind_at_the_deadline() {
    let house = House::open(&["--drain-delay", "0s", "--drain", "50ms"]).await;
    let mut client = HealthClient::new(house.channel().await);
    let mut watch = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap().into_inner();
    watch.message().await.unwrap();
    house.shutdown.drain();
    tokio::time::timeout(Duration::from_secs(20), house.ended).await.expect("the deadline holds").unwrap().unwrap();
}

#[tokio::test]
async fn the_first_signal_drains_and_the_second_ends_at_once() {
    let signal =
        || assert!(std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status().unwrap().success());
    let shutdown = Shutdown::on_signals().unwrap();
    assert!(!shutdown.is_draining());
    signal();
    shutdown.draining().await;
    assert!(tokio::time::timeout(Duration::from_millis(1), shutdown.at_once()).await.is_err(), "one signal is not two");
    signal();
    tokio::time::timeout(Duration::from_secs(10), shutdown.at_once()).await.unwrap();
}

#[tokio::test]
async fn a_hangup_is_a_signal_where_that_is_asked_for() {
    let shutdown = Shutdown::default();
    shutdown.on_hangup().unwrap();
    let hangup = || assert!(std::process::Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status().unwrap().success());
    hangup();
    shutdown.draining().await;
    hangup();
    tokio::time::timeout(Duration::from_secs(10), shutdown.at_once()).await.unwrap();
}
