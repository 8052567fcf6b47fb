//! S14: bodies of answers on their way through the real Envoy.

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bulkhead_tests::{
    client::{Answer, Request},
    deadline::{self, PATIENCE},
    world::World,
};
use serde_json::{Value, json};

use super::{INVOICES, PRODUCTS, bodies::filtered};

const EMAIL: &str = "jane.doe@example.com";
/// `{"note":"write to jane.doe@example.com"}`, compressed with gzip.
const GZIPPED: &str = "H4sIAAAAAAACA6tWyssvSVWyUiovyixJVSjJV8hKzEvVS8lPdUitSMwtyEnVS87PVaoFAD0eMTYoAAAA";

fn answers_read() -> Value {
    json!({
        "piiDetection": "redact", "blockedTopics": ["rivals"], "topics": { "rivals": { "phrases": ["Initech"] } },
        "apply": ["request", "response"],
    })
}

/// Has acme's upstream answer so, and asks for it.
async fn asked(world: &World, request: Request, status: u16, headers: Lines, body: impl Into<Vec<u8>>) -> Answer {
    let body = body.into();
    world.acme.upstream("billing").answers(move |_| {
        let answer = headers.iter().fold(Response::builder().status(status), |answer, (name, value)| answer.header(*name, *value));
        answer.body(Body::from(body.clone())).expect("an answer")
    });
    world.send(&request.bearer(&world.acme.issuer.token().sign())).await
}

/// Headers of an answer.
type Lines = &'static [(&'static str, &'static str)];

const JSON: Lines = &[("content-type", "application/json"), ("etag", "\"of-the-old-body\"")];

#[tokio::test(flavor = "multi_thread")]
async fn s14_an_answer_is_rewritten_and_its_head_fits_it() {
    let world = filtered(answers_read()).start().await;
    let raw = json!({ "note": format!("write to {EMAIL}"), "count": 7 }).to_string();
    let answer = asked(&world, Request::get(INVOICES), 200, JSON, raw.clone()).await;
    assert_eq!((answer.status, &answer.json()["count"]), (200, &json!(7)));
    assert!(!answer.text().contains("jane"));
    assert_eq!(answer.header("content-length").map(str::to_owned), Some(answer.body.len().to_string()));
    assert_eq!(answer.header("etag"), None);

    let gzip: &[(&str, &str)] = &[("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = asked(&world, Request::get(INVOICES), 200, gzip, BASE64_STANDARD.decode(GZIPPED).expect("base64")).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
    assert!(answer.text().contains("write to") && !answer.text().contains("jane"), "{}", answer.text());

    // Larger than what HTTP/2 sends before it is told that there is room.
    let large = json!({ "pad": "x ".repeat(50_000), "note": EMAIL }).to_string();
    let token = world.acme.issuer.token().sign();
    asked(&world, Request::get(INVOICES), 200, JSON, large).await;
    let answer = Request::get(INVOICES).bearer(&token).send_http2(world.envoy.address()).await;
    assert_eq!((answer.status, answer.json()["pad"].as_str().map(str::len)), (200, Some(100_000)));
    assert!(!answer.text().contains("jane"));

    let nothing = asked(&world, Request::get(INVOICES), 200, JSON, r#"{ "a" : 1.0 }"#).await;
    assert_eq!((nothing.text().as_str(), nothing.header("etag")), (r#"{ "a" : 1.0 }"#, Some("\"of-the-old-body\"")));
    let metrics = world.ext_authz.metrics().await;
    let counted = metrics.lines().find(|line| line.starts_with("bulkhead_authz_bodies_total") && line.contains("response_redacted"));
    assert!(counted.is_some_and(|line| line.ends_with(" 4")), "{counted:?}");
    assert!(!world.ext_authz.log().contains("jane"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_body_is_not_waited_for_and_envoys_own_answers_stay_what_they_are() {
    let world = filtered(answers_read()).start().await;
    for (request, status) in [(Request::new("HEAD", INVOICES), 200), (Request::get(INVOICES), 204), (Request::get(INVOICES), 304)] {
        let answer = asked(&world, request, status, &[], "").await;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
    }
    let token = world.acme.issuer.token().sign();
    assert_eq!(world.send(&Request::get(INVOICES)).await.reason(), "no_credentials");
    assert_eq!(world.send(&Request::get("/acme/nothing-api").bearer(&token)).await.reason(), "unknown_api");
    let globex = world.globex.issuer.token().sign();
    assert_eq!(world.send(&Request::get(PRODUCTS).bearer(&globex)).await.seen().upstream, "globex-inventory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_topic_in_an_answer_is_403_with_the_decisions_id() {
    let world = filtered(answers_read()).start().await;
    let answer = asked(&world, Request::get(INVOICES), 200, JSON, json!({ "note": "Initech is cheaper" }).to_string()).await;
    assert_eq!((answer.status, answer.reason().as_str()), (403, "topic"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let id = answer.json()["decision_id"].as_str().expect("an id").to_owned();
    let seen = world.acme.upstream("billing").last().expect("the request had reached the upstream");
    assert_eq!(seen.header("x-bulkhead-decision"), [id.as_str()]);
    let found = || async { world.ext_authz.log().contains(&id).then_some(()) };
    deadline::until("the line in which the operator can find it", PATIENCE, found).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_read_is_502_and_shows_nothing() {
    let world = filtered(answers_read()).start().await;
    let cases: [(Lines, u16, &str); 3] = [
        (&[("content-type", "application/octet-stream")], 200, "unreadable"),
        (&[("content-type", "application/json"), ("content-encoding", "compress")], 200, "unreadable"),
        (&[("content-type", "application/json"), ("content-range", "bytes 0-5/100")], 206, "unreadable"),
    ];
    for (headers, status, reason) in cases {
        let answer = asked(&world, Request::get(INVOICES), status, headers, format!("\u{0}{EMAIL}")).await;
        assert_eq!((answer.status, answer.reason().as_str()), (502, reason), "{headers:?}");
        assert!(!answer.text().contains("jane"), "{headers:?}");
    }
    let too_large = json!({ "pad": "x".repeat(3_000_000), "note": EMAIL }).to_string();
    let answer = asked(&world, Request::get(INVOICES), 200, JSON, too_large).await;
    assert!(answer.status >= 500 && !answer.text().contains("jane"), "{}", answer.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_and_codings_are_not_asked_for_where_answers_are_read() {
    let world = filtered(answers_read()).start().await;
    let request = || Request::get(INVOICES).header("range", "bytes=0-10").header("if-range", "x").header("accept-encoding", "br");
    asked(&world, request(), StatusCode::OK.as_u16(), JSON, "{}").await;
    let seen = world.acme.upstream("billing").last().expect("a request");
    for unwanted in [header::RANGE, header::IF_RANGE, header::ACCEPT_ENCODING] {
        assert_eq!(seen.header(unwanted.as_str()), [""; 0], "{unwanted}");
    }
    let globex = world.globex.issuer.token().sign();
    let seen = world.send(&request().at(PRODUCTS).bearer(&globex)).await.seen();
    assert_eq!(seen.header("range"), ["bytes=0-10"]);
}
