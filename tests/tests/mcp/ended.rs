//! How event streams end: what is on record, and what the client sees, where the server ends its answer well, with trailers, or breaks it off.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, Response},
};
use bulkhead_tests::{
    deadline::{self, PATIENCE},
    envoy::shipped,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::Stage;

const EVENT: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
const HALF: &str = "data: {\"jsonrpc\"";

/// How a server ends its answer, behind an event.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    /// The last chunk, or an empty last frame.
    Well,
    /// The same with an event that has begun and does not end.
    Unfinished,
    /// The connection is closed, which is the end of an answer without chunks or a length.
    Closed,
    /// The same where chunks are owed.
    Early,
    /// The connection is reset, or the stream for no reason that is told.
    Reset,
    /// What HTTP/2 says of a server that is done, but an answer that is not.
    NoError,
    Trailers,
    TrailersUnfinished,
}

/// What became of a stream: whether the client saw its end, the event that was whole, and anything of one that was not.
#[derive(Debug, PartialEq)]
struct Seen {
    ended: bool,
    event: bool,
    half: bool,
    outcome: &'static str,
}

/// A server of HTTP/1.1 that ends every answer so; what breaks it off comes when the client has seen the event.
async fn http1(ending: Ending, arrived: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let arrived = Arc::clone(&arrived);
            tokio::spawn(async move { while answer1(&mut stream, ending, &arrived).await {} });
        }
    });
    address
}

/// Answers a request; says whether another may follow.
async fn answer1(stream: &mut TcpStream, ending: Ending, arrived: &Notify) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return false };
        head.push(byte);
    }
    let closes = if ending == Ending::Closed { "connection: close" } else { "transfer-encoding: chunked" };
    let mut text = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{closes}\r\n\r\n");
    let chunk = |piece: &str| if ending == Ending::Closed { piece.to_owned() } else { format!("{:x}\r\n{piece}\r\n", piece.len()) };
    text += &chunk(EVENT);
    if matches!(ending, Ending::Unfinished | Ending::TrailersUnfinished) {
        text += &chunk(HALF);
    }
    match ending {
        Ending::Well | Ending::Unfinished => text += "0\r\n\r\n",
        Ending::Trailers | Ending::TrailersUnfinished => text += "0\r\nx-sum: 1\r\n\r\n",
        _ => {}
    }
    stream.write_all(text.as_bytes()).await.expect("it is read");
    match ending {
        Ending::Early | Ending::Reset => {
            arrived.notified().await;
            if ending == Ending::Reset {
                stream.set_zero_linger().expect("a socket");
            }
            false
        }
        Ending::Closed => false,
        _ => true,
    }
}

/// The same of HTTP/2.
async fn http2(ending: Ending, arrived: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let arrived = Arc::clone(&arrived);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((_, respond))) = connection.accept().await {
                    tokio::spawn(answer2(respond, ending, Arc::clone(&arrived)));
                }
            });
        }
    });
    address
}

async fn answer2(mut respond: h2::server::SendResponse<Bytes>, ending: Ending, arrived: Arc<Notify>) {
    let head = Response::builder().header("content-type", "text/event-stream").body(()).expect("a head");
    let mut body = respond.send_response(head, false).expect("a stream");
    body.send_data(EVENT.into(), false).expect("a stream");
    if matches!(ending, Ending::Unfinished | Ending::TrailersUnfinished) {
        body.send_data(HALF.into(), false).expect("a stream");
    }
    match ending {
        Ending::Well | Ending::Unfinished => body.send_data(Bytes::new(), true).expect("a stream"),
        Ending::Trailers | Ending::TrailersUnfinished => {
            body.send_trailers(HeaderMap::from_iter([("x-sum".parse().expect("a name"), HeaderValue::from_static("1"))]))
                .expect("a stream");
        }
        _ => {
            arrived.notified().await;
            body.send_reset(if ending == Ending::NoError { h2::Reason::NO_ERROR } else { h2::Reason::INTERNAL_ERROR });
        }
    }
}

/// How many answers of acme's had each outcome.
async fn outcomes(stage: &Stage) -> [(&'static str, u64); 4] {
    let metrics = stage.world.ext_authz.metrics().await;
    ["response_kept", "response_redacted", "response_cut", "response_denied"].map(|outcome| {
        let is_meant = |line: &&str| {
            line.starts_with("bulkhead_authz_bodies_total{")
                && line.contains(r#"tenant_id="acme""#)
                && line.contains(&format!("outcome=\"{outcome}\""))
        };
        let count = metrics.lines().find(is_meant).and_then(|line| line.rsplit(' ').next()?.parse().ok());
        (outcome, count.unwrap_or(0))
    })
}

/// What is seen of a stream of a server that ends so.
async fn seen(ending: Ending, is_http2: bool, post: bool) -> Seen {
    let arrived = Arc::new(Notify::new());
    let server = if is_http2 { http2(ending, Arc::clone(&arrived)).await } else { http1(ending, Arc::clone(&arrived)).await };
    let world = Stage::builder([server, server], 10_000, true).bootstrap(move |bootstrap| {
        if is_http2 {
            shipped::cluster(bootstrap, "contract-http")["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "upstream_http_protocol_options": { "auto_sni": true, "auto_san_validation": true },
                    "explicit_http_config": { "http2_protocol_options": {} },
                },
            });
        }
    });
    let stage = Stage { world: world.start().await, _servers: Vec::new() };
    let uri = format!("http://{}/acme/tools-api", stage.world.envoy.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let before = outcomes(&stage).await;
    let request = if post {
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        client.post(&uri).header("content-type", "application/json").header("accept", "application/json, text/event-stream").body(list)
    } else {
        client.get(&uri)
    };
    let mut answer = request.bearer_auth(stage.token("acme", "clerk")).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    let mut text = String::new();
    let ended = loop {
        match tokio::time::timeout(PATIENCE, answer.chunk()).await.expect("it ends") {
            Ok(Some(chunk)) => {
                text.push_str(&String::from_utf8_lossy(&chunk));
                if text.contains(EVENT) {
                    arrived.notify_one();
                }
            }
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let outcome = deadline::until("a record", PATIENCE, || async {
        let after = outcomes(&stage).await;
        let more: Vec<_> = before.iter().zip(after).filter(|((_, before), (_, after))| after > before).map(|(_, (name, _))| name).collect();
        assert!(more.len() < 2, "{more:?}");
        more.first().copied()
    })
    .await;
    let event = text.contains("notifications/progress");
    Seen { ended, event, half: text.replace(EVENT, "").contains("jsonrpc"), outcome }
}

const WHOLE: Seen = Seen { ended: true, event: true, half: false, outcome: "response_kept" };
/// What has begun and does not end is no event, and goes no further.
const UNFINISHED: Seen = Seen { outcome: "response_redacted", ..WHOLE };
const CUT: Seen = Seen { ended: false, outcome: "response_cut", ..WHOLE };

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_http1_is_on_record_and_at_its_client_as_it_ended() {
    for (ending, expected) in [
        (Ending::Well, WHOLE),
        (Ending::Unfinished, UNFINISHED),
        (Ending::Closed, WHOLE),
        (Ending::Trailers, WHOLE),
        (Ending::TrailersUnfinished, UNFINISHED),
        (Ending::Early, CUT),
        (Ending::Reset, CUT),
    ] {
        assert_eq!(seen(ending, false, ending == Ending::Early).await, expected, "{ending:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_http2_is_on_record_and_at_its_client_as_it_ended() {
    for (ending, expected) in [
        (Ending::Well, WHOLE),
        (Ending::Unfinished, UNFINISHED),
        (Ending::Trailers, WHOLE),
        (Ending::TrailersUnfinished, UNFINISHED),
        (Ending::Reset, CUT),
        (Ending::NoError, CUT),
    ] {
        assert_eq!(seen(ending, true, ending == Ending::Trailers).await, expected, "{ending:?}");
    }
}
