//! What policies look for in requests, through the real Envoy with bodies shown to ext-authz.

use std::io::Write;

use bulkhead_tests::{client::Request, envoy::shipped, world::Builder};
use serde_json::json;

use super::{INVOICES, PRODUCTS, world};

/// Acme blocks a topic and personal data; Envoy shows up to 64 KiB of a body.
fn guarded<'a>() -> Builder<'a> {
    world()
        .config(|config| {
            config.edit("namespaces/tenant-acme/guardrails.yaml", |policy| {
                policy["spec"]["contentFilter"] =
                    json!({ "piiDetection": "block", "blockedTopics": ["rivals"], "topics": { "rivals": { "phrases": ["Initech"] } } });
            });
        })
        .bootstrap(|bootstrap| {
            shipped::filter(bootstrap, "ext_authz")["with_request_body"] =
                json!({ "max_request_bytes": 65536, "allow_partial_message": true, "pack_as_bytes": true });
        })
}

fn gzip(body: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_a_policy_looks_for_is_found_however_it_is_sent_and_denies_its_own_tenant_alone() {
    let world = guarded().start().await;
    let (acme, globex) = (world.acme.issuer.token().sign(), world.globex.issuer.token().sign());
    let json = |body: &str| Request::post(INVOICES, body).header("content-type", "application/json");
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(100_000));
    for (what, request, status, reason) in [
        ("a topic behind an escape", json(r#"{"q":"\u0049nitech"}"#), 403, "topic"),
        ("a topic in a query", Request::get("/acme/billing-api/invoices?q=%49nitech"), 403, "topic"),
        ("a card as a number", json(r#"{"n":4111111111111111}"#), 403, "pii"),
        (
            "a card in a form",
            Request::post(INVOICES, "n=4111+1111+1111+1111").header("content-type", "application/x-www-form-urlencoded"),
            403,
            "pii",
        ),
        (
            "a topic in gzip",
            Request::post(INVOICES, gzip(r#"{"q":"Initech"}"#))
                .header("content-type", "application/json")
                .header("content-encoding", "gzip"),
            403,
            "topic",
        ),
        ("a body that cannot be read", Request::post(INVOICES, "x").header("content-type", "application/octet-stream"), 400, "unreadable"),
        ("broken JSON", json("{"), 400, "unreadable"),
        ("a body that Envoy cut", json(&large), 413, "too_large"),
    ] {
        let answer = world.send(&request.bearer(&acme)).await;
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{what}");
    }
    assert_eq!(world.acme.requests(), 0, "nothing of it reached the upstream");
    assert_eq!(world.send(&json(r#"{"q":"Initechs"}"#).bearer(&acme)).await.status, 200);
    assert_eq!(world.send(&Request::get(INVOICES).bearer(&acme)).await.status, 200);
    assert_eq!(world.send(&Request::post(PRODUCTS, r#"{"q":"Initech","n":4111111111111111}"#).bearer(&globex)).await.status, 200);
}
