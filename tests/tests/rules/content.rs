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
        ("a topic with a byte in it that is no UTF-8", Request::get("/acme/billing-api/invoices?q=Ini%FFtech"), 403, "topic"),
        ("a topic in base64", json(r#"{"q":"YXNrIEluaXRlY2ggbm93"}"#), 403, "topic"),
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
    assert_eq!(world.send(&Request::get("/acme/billing-api/invoices?q=caf%E9").bearer(&acme)).await.status, 200, "Latin-1 is read");
    assert_eq!(world.send(&Request::post(PRODUCTS, r#"{"q":"Initech","n":4111111111111111}"#).bearer(&globex)).await.status, 200);
}

/// The same without `pack_as_bytes`: what is no UTF-8 is `!` before ext-authz sees it.
fn as_text<'a>(guarded: Builder<'a>) -> Builder<'a> {
    guarded.bootstrap(|bootstrap| shipped::filter(bootstrap, "ext_authz")["with_request_body"]["pack_as_bytes"] = false.into())
}

#[tokio::test]
async fn s14_bytes_that_envoy_replaced_are_read_by_ext_proc_or_not_let_through() {
    let json = |body: &[u8]| Request::post(INVOICES, body.to_vec()).header("content-type", "application/json");
    let world = as_text(guarded()).start().await;
    let token = world.acme.issuer.token().sign();
    for (body, status) in [(b"{\"q\":\"Ini\xfftech\"}".as_slice(), 400), (b"{\"q\":\"Hello!\"}", 200), (b"{\"q\":\"Hello! Initech\"}", 403)]
    {
        assert_eq!(world.send(&json(body).bearer(&token)).await.status, status, "{}", String::from_utf8_lossy(body));
    }
    let world = as_text(guarded()).undeclared().ext_authz(&["--body", "on"]).start().await;
    let token = world.acme.issuer.token().sign();
    for (body, status) in [(b"{\"q\":\"Ini\xfftech\"}".as_slice(), 400), (b"{\"q\":\"Hello!\"}", 400), (b"{\"q\":\"Hello.\"}", 200)] {
        let answer = world.send(&json(body).bearer(&token)).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(body));
        assert!(status == 200 || answer.reason() == "unreadable");
    }
}

#[tokio::test]
async fn a_filter_in_shadow_is_counted_and_denies_nothing() {
    let trial = json!({
        "apiVersion": "gostoa.dev/v1alpha1", "kind": "GuardrailPolicy", "metadata": { "name": "trial", "namespace": "tenant-acme" },
        "spec": { "shadow": true, "contentFilter": {
            "piiDetection": "redact", "blockedTopics": ["rivals"], "topics": { "rivals": { "phrases": ["Initech"] } },
        } },
    });
    for declared in [&["--body", "on", "--process", "on"][..], &[]] {
        let trial = trial.clone();
        let world = world()
            .config(move |config| config.put("namespaces/tenant-acme/trial.yaml", &trial))
            .undeclared()
            .ext_authz(declared)
            .start()
            .await;
        let token = world.acme.issuer.token().sign();
        let sent = r#"{"q":"Initech","mail":"jane.doe@example.com"}"#;
        let answer = world.send(&Request::post(INVOICES, sent).bearer(&token).header("content-type", "application/json")).await;
        assert_eq!((answer.status, answer.seen().body.as_str()), (200, sent), "{declared:?}");
        let metrics = world.ext_authz.metrics().await;
        let marked = if declared.is_empty() { "unavailable" } else { "topic" };
        let counted = |line: &&str| line.starts_with("bulkhead_authz_shadow_total") && line.contains(&format!("reason=\"{marked}\""));
        assert!(metrics.lines().any(|line| counted(&line) && line.ends_with(" 1")), "{marked}: {metrics}");
        assert!(!metrics.contains("jane") && !world.ext_authz.log().contains("jane"));
    }
}
