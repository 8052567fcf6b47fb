//! What a server may answer to `tools/list`, byte by byte, through the real Envoy: whatever it is, a tool that the caller may not use is not in what arrives.

use std::{fmt::Write as _, net::SocketAddr};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::Stage;

/// A server that answers each request with the bytes that the header `X-Answer` holds, in hexadecimal, one write after the other.
async fn parrot() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let said = head.lines().find_map(|line| line.strip_prefix("x-answer: ")).unwrap_or_default();
                let answer = hex::decode(said).expect("hexadecimal");
                // Read to its end, or closing would reset what is on its way.
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
                let mut body = vec![0; length];
                if stream.read_exact(&mut body).await.is_err() {
                    return;
                }
                for piece in answer.chunks(7) {
                    let _ = stream.write_all(piece).await;
                    let _ = stream.flush().await;
                    tokio::task::yield_now().await;
                }
            });
        }
    });
    address
}

/// An answer with these headers and this body, in chunks of three bytes: characters, events and escapes are cut anywhere.
fn chunked(status: &str, headers: &str, body: &[u8], trailers: &str) -> Vec<u8> {
    let mut answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n{headers}\r\n").into_bytes();
    for chunk in body.chunks(3) {
        answer.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        answer.extend(chunk);
        answer.extend(b"\r\n");
    }
    answer.extend(format!("0\r\n{trailers}\r\n").into_bytes());
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_server_answers_no_tool_arrives_that_its_caller_may_not_use() {
    let server = parrot().await;
    let stage = Stage { world: Stage::world([server, server], 100_000, true).await, _servers: Vec::new() };
    let uri = format!("http://{}/acme/tools-api", stage.world.envoy.address());
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ask = async |answer: &[u8]| {
        let hex = answer.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
        let request = client.post(&uri).bearer_auth(stage.token("acme", "nobody")).header("x-answer", &hex).body(body);
        let request = request.header("content-type", "application/json").header("accept", "application/json, text/event-stream");
        let mut answer = request.send().await.expect("an answer");
        let (status, mut text) = (answer.status().as_u16(), Vec::new());
        // What is broken off has come so far.
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.extend(chunk);
        }
        (status, String::from_utf8_lossy(&text).into_owned())
    };
    const JSON: &str = "content-type: application/json\r\n";
    const EVENTS: &str = "content-type: text/event-stream\r\n";
    let tools = json!([{ "name": "weather", "description": "\u{5929}\u{6c17} \u{1f326}" }, { "name": "hidden" }]);
    let list = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools, "nextCursor": "x" } }).to_string();
    let event = format!("id: 7\nevent: message\ndata: {list}\n\n");
    let early = [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".as_slice(), &chunked("200 OK", JSON, list.as_bytes(), "")].concat();

    // Honest ones, cut in the middle of characters: the list arrives, without what is not its caller's.
    for (what, answer) in [
        ("JSON", chunked("200 OK", JSON, list.as_bytes(), "")),
        ("with trailers", chunked("200 OK", JSON, list.as_bytes(), "x-sum: 1\r\n")),
        ("after an early hint", early),
        ("with a charset", chunked("200 OK", "content-type: application/json; charset=UTF-8\r\n", list.as_bytes(), "")),
        ("events", chunked("200 OK", EVENTS, event.as_bytes(), "")),
        ("events of several lines", chunked("200 OK", EVENTS, event.replace(",\"result\"", ",\ndata: \"result\"").as_bytes(), "")),
        ("events that begin with a mark", chunked("200 OK", EVENTS, format!("\u{feff}{event}").as_bytes(), "")),
        ("events with CR alone", chunked("200 OK", EVENTS, event.replace('\n', "\r").as_bytes(), "")),
    ] {
        let (status, text) = ask(&answer).await;
        assert_eq!(status, 200, "{what}: {text}");
        assert!(text.contains("weather") && text.contains("\u{5929}\u{6c17} \u{1f326}") && !text.contains("\"hid"), "{what}: {text}");
    }

    // An `error`, and what a server asks a client (`sampling/createMessage` has `tools` of its own), are no list to any client: they are the server's words.
    let utf16: Vec<u8> = list.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let twice = list.replace("\"result\"", "\"result\":{},\"r\\u0065sult\"");
    let shapes: Vec<(&str, Vec<u8>)> = vec![
        ("a batch", format!("[{list},{list}]").into_bytes()),
        ("two documents", format!("{list}\n{list}").into_bytes()),
        ("a mark before", format!("\u{feff}{list}").into_bytes()),
        ("UTF-16", utf16),
        ("a member twice", twice.into_bytes()),
        ("an id that is huge", list.replace("\"id\":1", "\"id\":99999999999999999999999").into_bytes()),
        ("no id", list.replace("\"id\":1,", "").into_bytes()),
        ("another spelling of tools", list.replace("\"tools\"", "\"Tools\"").into_bytes()),
        ("structured content", list.replace("\"tools\"", "\"structuredContent\"").into_bytes()),
        ("content", list.replace("\"tools\"", "\"content\"").into_bytes()),
        ("as a text", format!("{list:?}").into_bytes()),
        ("bytes that are no UTF-8", [list.as_bytes(), b"\xff"].concat()),
        ("an escaped name", list.replace("hidden", "hid\\u0064en").into_bytes()),
    ];
    for (what, body) in &shapes {
        for headers in [JSON, EVENTS] {
            let body = if headers == JSON { body.clone() } else { [b"data: ", body.as_slice(), b"\n\n"].concat() };
            // Nobody minds a status on the way of a stream; what has begun is broken off, and 502 is what has not.
            let (status, text) = ask(&chunked("200 OK", headers, &body, "")).await;
            assert!(!text.contains("\"hid") && !text.contains("h\0i\0d"), "{what} {headers}: {status} {text}");
        }
    }
    for headers in [
        "content-type: text/html\r\n",
        "content-type: text/plain\r\n",
        "content-type: application/octet-stream\r\n",
        "content-type: application/json; charset=utf-16\r\n",
        "content-type: application/json\r\ncontent-type: text/event-stream\r\n",
        "content-type: application/json\r\ncontent-encoding: br\r\n",
        "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
        "",
    ] {
        for status in ["200 OK", "201 Created", "202 Accepted", "206 Partial Content", "300 Multiple Choices", "404 Not Found", "500 Oh"] {
            for body in [&list, &event] {
                let (answered, text) = ask(&chunked(status, headers, body.as_bytes(), "")).await;
                assert!(!text.contains("\"hid"), "{status} {headers}: {answered} {text}");
            }
        }
    }
}
