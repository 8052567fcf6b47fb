//! Bodies, codings and headers by which one parser sees another message than the next, through the real Envoy: each is denied, and no server sees any of it.

use bulkhead_tests::client::{Answer, Request};
use serde_json::{Value, json};

use super::Stage;

const PATH: &str = "/acme/tools-api";

fn weather() -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "weather", "arguments": { "city": "Paris" } } })
        .to_string()
}

/// Sends it as acme's, and says how often an upstream was asked because of it.
async fn sent(stage: &Stage, request: Request) -> (Answer, u64) {
    let asked = async || stage.world.envoy.stat("cluster.contract-http.upstream_rq_total").await;
    let before = asked().await;
    let answer = stage.world.send(&request.bearer(&stage.token("acme", "nobody"))).await;
    (answer, asked().await - before)
}

fn post(body: impl Into<Vec<u8>>) -> Request {
    let request = Request::post(PATH, body).header("accept", "application/json, text/event-stream");
    request.header("content-type", "application/json")
}

async fn refused(stage: &Stage, request: Request) {
    let shown = format!("{request:?}");
    let (answer, reached) = sent(stage, request).await;
    assert!(matches!(answer.status, 400 | 403 | 405 | 415), "{shown}: {} {}", answer.status, answer.text());
    assert_eq!(reached, 0, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_two_parsers_read_differently_reaches_no_server() {
    let stage = Stage::set(false, 1_000_000, true).await;
    let (answer, reached) = sent(&stage, post(weather())).await;
    assert_eq!((answer.status, reached), (200, 1), "{}", answer.text());
    let whole = weather();
    let with = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1).into_bytes()
    };
    let open = whole.strip_suffix('}').expect("an object");
    let hidden = whole.replace("weather", "hidden");
    let utf16: Vec<u8> = whole.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies: Vec<Vec<u8>> = vec![
        // Another encoding, or something before, between and behind.
        [b"\xef\xbb\xbf", whole.as_bytes()].concat(),
        utf16.clone(),
        [b"\xff\xfe", utf16.as_slice()].concat(),
        format!("\u{1e}{whole}\n").into_bytes(),
        format!("{whole}\n{hidden}").into_bytes(),
        format!("{whole}\0").into_bytes(),
        format!("while(1);{whole}").into_bytes(),
        format!("/**/{whole}").into_bytes(),
        format!("{open},}}").into_bytes(),
        format!("{whole:?}").into_bytes(),
        format!("[[{whole}]]").into_bytes(),
        format!("[{whole},{hidden}]").into_bytes(),
        // Members twice, under another spelling, or of a prototype.
        with("\"name\":\"weather\"", "\"name\":\"weather\",\"n\\u0061me\":\"hidden\""),
        with("\"name\":\"weather\"", "\"name\":\"weather\",\"Name\":\"hidden\""),
        with("\"name\":\"weather\"", "\"name\":\"weather\",\"__proto__\":{\"name\":\"hidden\"}"),
        with("\"city\":\"Paris\"", "\"city\":\"Paris\",\"__proto__\":{}"),
        with("\"city\":\"Paris\"", "\"city\":\"Paris\",\"\u{ff43}ity\":\"x\""),
        with("\"params\":", "\"params\":{},\"p\\u0061rams\":"),
        with("\"id\":1", "\"id\":1,\"Params\":{\"name\":\"hidden\"}"),
        // Texts that are cut, folded or replaced.
        with("weather", "weather\\u0000"),
        with("weather", "weather\\u0000hidden"),
        with("weather", "weather "),
        with("weather", "\u{ff57}eather"),
        with("weather", "weat\u{200b}her"),
        with("weather", "hid\\u0064en"),
        with("tools/call", "tools\\/list\\u0000"),
        with("Paris", "\\ud800"),
        [open.replace("Paris", "PA").split("PA").next().unwrap_or_default().as_bytes(), b"\xed\xa0\x80\"}}}"].concat(),
        // Numbers and depth.
        with("\"id\":1", "\"id\":1e400"),
        with("\"id\":1", "\"id\":01"),
        with("\"id\":1", "\"id\":18446744073709551617"),
        with("\"Paris\"", &format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000))),
        with("{\"arguments\"", "[{\"arguments\"").into_iter().chain(*b"]").collect(),
    ];
    for body in bodies {
        refused(&stage, post(body)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_a_coding_or_a_header_that_says_otherwise_reaches_no_server() {
    let stage = Stage::set(false, 1_000_000, true).await;
    let whole = weather();
    let plain = || Request::post(PATH, whole.clone()).header("accept", "application/json, text/event-stream");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "application/json;charset=utf-16",
        "application/json;charset=utf-7",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json;boundary=x",
        "multipart/form-data; boundary=x",
    ] {
        refused(&stage, plain().header("content-type", kind)).await;
    }
    refused(&stage, post(whole.clone()).header("content-type", "text/plain")).await;
    // JSON as it stands, whatever its header says that it is; and what is undone twice, or not at all.
    for coding in ["br", "deflate", "gzip", "x-gzip", "zstd", "gzip, identity", "compress", "br, gzip", "aws-chunked"] {
        refused(&stage, post(whole.clone()).header("content-encoding", coding)).await;
    }
    refused(&stage, post(whole.clone()).header("content-encoding", "identity").header("content-encoding", "br")).await;
    // A block of deflate that begins as an object to a parser that does not mind odd bytes.
    let text = [whole.as_bytes(), &[b' '; 0x227b][whole.len()..]].concat();
    let length = u16::try_from(text.len()).expect("short").to_le_bytes();
    let stored = |last: u8| [&[last][..], &length, &length.map(|byte| !byte), &text].concat();
    refused(&stage, post([stored(b' '), vec![1, 0, 0, 0xff, 0xff]].concat()).header("content-encoding", "deflate")).await;
    let (answer, reached) = sent(&stage, post(stored(1)).header("content-encoding", "deflate")).await;
    assert_eq!(reached, 1, "the same, that begins as nothing else: {}", answer.text());
    for (name, value) in [
        ("mcp-method", "tools/list"),
        ("mcp-name", "hidden"),
        ("mcp-name", "=?base64?aGlkZGVu?="),
        ("Mcp-Name", "weather, hidden"),
        ("mcp-protocol-version", "2024-11-05"),
        ("last-event-id", "1"),
    ] {
        refused(&stage, post(whole.clone()).header(name, value)).await;
    }
    // These Envoy takes out before anybody sees them.
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let (answer, reached) = sent(&stage, post(whole.clone()).header(name, "DELETE")).await;
        assert_eq!((answer.status, reached), (200, 1), "{name}");
    }
    refused(&stage, post(whole.clone()).header("mcp-name", "weather").header("mcp-name", "hidden")).await;
    for method in ["PUT", "PATCH", "OPTIONS", "TRACE", "post"] {
        let request = Request::new(method, PATH).header("content-type", "application/json");
        let (answer, reached) = sent(&stage, request).await;
        assert!((400..=405).contains(&answer.status) && reached == 0, "{method}: {}", answer.status);
    }
    let other: Value = serde_json::from_str(&whole).expect("JSON");
    let foreign = Request::post("/globex/tools-api", other.to_string()).header("content-type", "application/json");
    let (answer, reached) = sent(&stage, foreign).await;
    assert_eq!((answer.status, reached), (401, 0));
}
