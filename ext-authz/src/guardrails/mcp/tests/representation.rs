//! How a message may come: its type, its coding, its headers, and as what Envoy shows it.

use super::*;

#[tokio::test]
async fn what_is_not_plain_json_is_415() {
    let ping = request("ping", &json!({}));
    let typed = |value| Sent { headers: vec![("content-type", value)], ..post() };
    for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
        assert_eq!(typed(good).send(&ping).await, "allow", "{good}");
    }
    for bad in [
        "text/plain",
        "application/json-rpc",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json, text/plain",
        "",
    ] {
        assert_eq!(typed(bad).send(&ping).await, "415 unreadable", "{bad}");
    }
    assert_eq!(Sent { headers: Vec::new(), ..post() }.send(&ping).await, "415 unreadable");
    assert_eq!(post().with("content-type", "text/plain").send(&ping).await, "400 unreadable");
    for other in ["x-br", "zlib", "gzip, gzip", "identity, gzip", "gzip, identity", "compress"] {
        assert_eq!(post().with("content-encoding", other).send(&ping).await, "415 unreadable", "{other}");
    }
    assert_eq!(post().with("content-encoding", "gzip").with("content-encoding", "identity").send(&ping).await, "415 unreadable");
    assert_eq!(post().with("content-encoding", "gzip").send(&ping).await, "400 unreadable", "it is not");
    for plain in ["Identity", "", " ,\t", "identity, IDENTITY,"] {
        assert_eq!(post().with("content-encoding", plain).send(&ping).await, "allow", "{plain:?} is no coding");
    }
    assert_eq!(post().with("content-encoding", "identity").with("content-encoding", "").send(&ping).await, "allow");
    assert_eq!(post().send("").await, "400 unreadable");
}

#[tokio::test]
async fn headers_that_say_otherwise_than_the_body_are_refused() {
    let ledger = call("ledger", &json!({}));
    for (name, value, verdict) in [
        ("mcp-method", "tools/call", "allow"),
        ("mcp-method", "ping", "400 unreadable"),
        ("mcp-method", "Tools/Call", "400 unreadable"),
        ("mcp-name", "ledger", "allow"),
        ("mcp-name", "=?base64?bGVkZ2Vy?=", "allow"),
        ("mcp-name", "unlisted", "400 unreadable"),
        ("mcp-name", "=?base64?dW5saXN0ZWQ=?=", "400 unreadable"),
        ("mcp-name", "=?base64?!?=", "400 unreadable"),
        ("mcp-protocol-version", "2025-06-18", "allow"),
        ("mcp-protocol-version", "2099-01-01", "400 unreadable"),
        ("mcp-session-id", "1868a90c", "allow"),
        ("mcp-session-id", "a b", "400 unreadable"),
        ("mcp-session-id", "", "400 unreadable"),
        ("last-event-id", "7", "400 unreadable"),
        ("x-http-method-override", "GET", "400 unreadable"),
        ("x_http_method_override", "GET", "400 unreadable"),
        ("mcp_name", "unlisted", "400 unreadable"),
        ("last_event-id", "7", "400 unreadable"),
    ] {
        assert_eq!(post().with(name, value).send(&ledger).await, verdict, "{name}: {value}");
    }
    for twice in ["mcp-method", "mcp-name", "mcp-session-id", "mcp-protocol-version"] {
        assert_eq!(post().with(twice, "a").with(twice, "a").send(&ledger).await, "400 unreadable", "{twice}");
    }
    assert_eq!(post().with("mcp-method", "tools/call").send(&format!("[{ledger}]")).await, "400 unreadable");
    assert_eq!(post().with("mcp-name", "x").send(&request("ping", &json!({}))).await, "400 unreadable");
}

/// As gzip without compression (RFC 1952, RFC 1951 section 3.2.4): one member.
fn gzipped(text: &str) -> Vec<u8> {
    let (length, crc) = (u16::try_from(text.len()).unwrap(), crc32(text.as_bytes()));
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    member.extend(length.to_le_bytes());
    member.extend((!length).to_le_bytes());
    member.extend(text.as_bytes());
    member.extend(crc.to_le_bytes());
    member.extend(u32::from(length).to_le_bytes());
    member
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())))
}

#[tokio::test]
async fn a_compressed_message_is_judged_as_what_it_says() {
    let gzip = |api| Sent { api, ..post() }.with("content-encoding", "GZip");
    let verdict = async |body: &[u8]| match gzip("tools-api").full(body).await.0 {
        Ok(passed) => format!("allow {}", passed.cost),
        Err(denial) => format!("{} {}", denial.status, denial.reason.name()),
    };
    let (ledger, unlisted) = (call("ledger", &json!({})), call("unlisted", &json!({})));
    assert_eq!(verdict(&gzipped(&ledger)).await, "allow 1");
    assert_eq!(verdict(&gzipped(&unlisted)).await, "403 tool");
    assert_eq!(verdict(&gzipped(&call("weather", &json!({ "city": 1 })))).await, "400 tool");
    // A server that stops after the first member must not find another message there.
    assert_eq!(verdict(&[gzipped(&unlisted), gzipped(&ledger)].concat()).await, "400 unreadable");
    assert_eq!(verdict(&[gzipped(&ledger), gzipped(&unlisted)].concat()).await, "400 unreadable");
    assert_eq!(verdict(&[gzipped(&ledger), b"{}".to_vec()].concat()).await, "400 unreadable");
    assert_eq!(verdict(&gzipped(&ledger)[..40]).await, "400 unreadable");
    // Members of zeros: what comes out is counted while it comes out.
    let bomb: Vec<u8> = gzipped(&" ".repeat(60_000)).repeat(400);
    assert_eq!(verdict(&bomb).await, "413 too_large");
}

#[tokio::test]
async fn s14_a_message_that_envoy_may_have_altered_is_passed_only_where_ext_proc_sees_what_was_sent() {
    let greeting = call("ledger", &json!({ "say": "Hi!" }));
    let verdict = async |process, shown| Sent { process, shown, ..post() }.send(&greeting).await;
    assert_eq!(verdict(false, Body::Whole).await, "allow", "bytes are what they are");
    assert_eq!(verdict(false, Body::Doubtful).await, "400 unreadable");
    assert_eq!(verdict(true, Body::Doubtful).await, "allow");
    let denial = Sent { process: false, shown: Body::Doubtful, ..post() }.full(greeting.as_bytes()).await.0.unwrap_err();
    assert!(denial.detail.contains("pack_as_bytes"), "{denial:?}");
    assert_eq!(Sent { method: "DELETE", shown: Body::Doubtful, ..post() }.send("!").await, "400 unreadable");
    // Under a coding that can be undone although one of its bytes was another.
    let coded = Sent { process: true, shown: Body::Doubtful, ..post() }.with("content-encoding", "gzip");
    assert_eq!(coded.full(&gzipped(&greeting)).await.0.unwrap_err().status, 400);
}
