//! What strangers can make Envoy hold costs nobody else an answer: S4.

use axum::body::Bytes;
use std::time::Duration;

use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
};
use tokio::{net::TcpStream, task::JoinSet};

use super::{INVOICES, PRODUCTS, world};

/// A heap that a few connections would fill.
const HEAP: u64 = 512 << 20;
/// Connections of strangers, with as many streams each as Envoy's file allows: 780 MB of bodies.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 100;
/// Less than ext_authz waits for.
const HELD: usize = 980_000;
/// Each stream sends so much, and no more before its pause is over: a machine that is busy with other tests resets no faster than it can.
const PIECE: usize = 65_536;
const PAUSE: Duration = Duration::from_millis(100);

const STREAMS_RESET: &str = "envoy.overload_actions.reset_high_memory_stream.count";

/// Opens bodies that never end, and whenever Envoy ends one, another.
async fn stranger(to: std::net::SocketAddr) {
    loop {
        let Ok(socket) = TcpStream::connect(to).await else { continue };
        let Ok((client, connection)) = h2::client::handshake(socket).await else { continue };
        let mut streams = JoinSet::new();
        for _ in 0..STREAMS {
            let client = client.clone();
            streams.spawn(async move {
                while let Ok(mut ready) = client.clone().ready().await {
                    let request = http::Request::post(format!("http://gateway{INVOICES}")).body(()).expect("a request");
                    let Ok((answer, mut body)) = ready.send_request(request, false) else { return };
                    let mut sent = 0;
                    while sent < HELD {
                        body.reserve_capacity(PIECE);
                        let Some(Ok(room)) = std::future::poll_fn(|context| body.poll_capacity(context)).await else { break };
                        if body.send_data(Bytes::from(vec![b'x'; room]), false).is_err() {
                            break;
                        }
                        sent += room;
                        tokio::time::sleep(PAUSE).await;
                    }
                    // Until Envoy ends it.
                    drop(answer.await);
                }
            });
        }
        drop(connection.await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_bodies_that_strangers_never_end_fill_no_memory_that_tenants_need() {
    let heap = |bootstrap: &mut serde_json::Value| {
        bootstrap["overload_manager"]["resource_monitors"][0]["typed_config"]["max_heap_size_bytes"] = HEAP.into();
    };
    let world = world().bootstrap(heap).start().await;
    let globex = Request::get(PRODUCTS).bearer(&world.globex.issuer.token().sign());
    let upload = Request::post(INVOICES, vec![b' '; 900_000]).bearer(&world.acme.issuer.token().sign());
    assert_eq!(world.send(&upload).await.status, 200, "a large body alone is nobody's harm");

    let mut strangers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        strangers.spawn(stranger(world.envoy.address()));
    }
    deadline::until("as many streams to be reset as there are", PATIENCE, || async {
        assert_eq!(world.send(&globex).await.status, 200);
        (world.envoy.stat(STREAMS_RESET).await > (CONNECTIONS * STREAMS) as u64).then_some(())
    })
    .await;
    for nth in 0..100 {
        assert_eq!(world.send(&globex).await.status, 200, "answer {nth}");
    }
    strangers.shutdown().await;
}
