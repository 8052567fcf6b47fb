use std::{collections::BTreeMap, sync::Arc};

use bulkhead_proto::{
    contract::header,
    pb::{
        envoy::{
            config::core::v3::HeaderValueOption,
            service::auth::v3::{OkHttpResponse, check_response::HttpResponse},
            r#type::v3::HttpStatus,
        },
        google::{
            protobuf::{Struct, value::Kind},
            rpc::Status,
        },
    },
};
use bulkhead_tenancy::{clock::SystemClock, snapshot::Snapshot, subscription::Subscription};

use super::*;
use crate::{
    attributes::Attributes,
    decide::{Declared, Judge},
    fixture::{self, Asked, Stand, get},
    verdict::{Facts, Process, Reason, Verdict},
};

const ID: &str = "01a2010c-0000-7000-8000-000000000000";

async fn answered(snapshot: &Arc<Snapshot>, asked: Asked) -> CheckResponse {
    answered_with(snapshot, asked, |_| ()).await
}

/// The same of a verdict that was changed.
async fn answered_with(snapshot: &Arc<Snapshot>, asked: Asked, change: impl FnOnce(&mut Verdict)) -> CheckResponse {
    let attributes = Attributes::of(asked.request()).unwrap();
    let mut verdict = Judge::new(Stand, Arc::new(SystemClock), Declared::default())
        .decide(snapshot, &attributes, crate::decide::Due::at(tokio::time::Instant::now() + std::time::Duration::from_secs(5)))
        .await;
    change(&mut verdict);
    Reply::to(&Decision { id: ID.to_owned(), generation: Some(7), verdict }, &attributes.headers).read().unwrap()
}

/// The response of an allow.
async fn allowed(snapshot: &Arc<Snapshot>, asked: Asked) -> OkHttpResponse {
    let response = answered(snapshot, asked).await;
    assert_eq!(response.status, Some(Status { code: 0, ..Status::default() }));
    match response.http_response {
        Some(HttpResponse::OkResponse(ok)) => ok,
        other => panic!("{other:?}"),
    }
}

fn pairs(headers: &[HeaderValueOption]) -> BTreeMap<&str, &str> {
    let pair = |option: &'_ HeaderValueOption| {
        assert_eq!(option.append_action, i32::from(HeaderAppendAction::OverwriteIfExistsOrAdd));
        option.header.as_ref().map(|header| (header.key.clone(), header.value.clone()))
    };
    assert!(headers.iter().all(|option| pair(option).is_some()));
    headers.iter().filter_map(|option| option.header.as_ref()).map(|header| (header.key.as_str(), header.value.as_str())).collect()
}

fn texts(metadata: &Struct) -> BTreeMap<&str, String> {
    let text = |kind: &Option<Kind>| match kind {
        Some(Kind::StringValue(text)) => text.clone(),
        Some(Kind::NumberValue(number)) => format!("number {number}"),
        other => panic!("{other:?}"),
    };
    metadata.fields.iter().map(|(key, value)| (key.as_str(), text(&value.kind))).collect()
}

fn denied(reason: Reason) -> (Denial, CheckResponse) {
    let denial = Denial {
        allow: if reason == Reason::Method { vec!["GET".to_owned(), "POST".to_owned()] } else { Vec::new() },
        retry_after: matches!(reason, Reason::TooManyFailures | Reason::Unavailable).then_some(9),
        ..Denial::new(reason, "what only the operator is told")
    };
    let decision = Decision { id: ID.to_owned(), generation: Some(7), verdict: Verdict::denied(denial.clone()) };
    (denial, Reply::to(&decision, &Headers::default()).read().unwrap())
}

const REASONS: [(Reason, &str, u16); 18] = [
    (Reason::BadPath, "bad_path", 400),
    (Reason::TooManyFailures, "too_many_failures", 429),
    (Reason::NoCredentials, "no_credentials", 401),
    (Reason::InvalidToken, "invalid_token", 401),
    (Reason::WrongTenant, "wrong_tenant", 401),
    (Reason::Suspended, "suspended", 403),
    (Reason::UnknownApi, "unknown_api", 404),
    (Reason::Method, "method", 405),
    (Reason::Subscription, "subscription", 403),
    (Reason::Role, "role", 403),
    (Reason::Rule, "rule", 403),
    (Reason::Tool, "tool", 403),
    (Reason::Topic, "topic", 403),
    (Reason::Pii, "pii", 403),
    (Reason::TooLarge, "too_large", 413),
    (Reason::Unreadable, "unreadable", 400),
    (Reason::Unavailable, "unavailable", 503),
    (Reason::Loop, "loop", 508),
];

#[test]
fn every_reason_has_its_whole_answer() {
    for (reason, name, status) in REASONS {
        let (_, response) = denied(reason);
        assert_eq!(response.status, Some(Status { code: 7, ..Status::default() }), "{name}: the status denies");
        let Some(HttpResponse::DeniedResponse(answer)) = &response.http_response else { panic!("{name}: a denied response") };
        assert_eq!(answer.status, Some(HttpStatus { code: i32::from(status) }), "{name}");

        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let members: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["decision_id", "status", "title", "type"], "{name}: nothing else is told");
        assert_eq!(body["type"], format!("urn:bulkhead:{name}"));
        assert_eq!(body["status"], status);
        assert_eq!(body["decision_id"], ID);
        assert!(!answer.body.contains("operator"), "{name}: the detail is not told");

        let mut headers = BTreeMap::from([("content-type", "application/problem+json"), ("cache-control", "no-store")]);
        match reason {
            Reason::NoCredentials => drop(headers.insert("www-authenticate", r#"Bearer realm="bulkhead""#)),
            Reason::InvalidToken | Reason::WrongTenant => {
                headers.insert("www-authenticate", r#"Bearer realm="bulkhead", error="invalid_token""#);
            }
            Reason::Method => drop(headers.insert("allow", "GET, POST")),
            Reason::TooManyFailures | Reason::Unavailable => drop(headers.insert("retry-after", "9")),
            _ => {}
        }
        assert_eq!(pairs(&answer.headers), headers, "{name}");

        let metadata = response.dynamic_metadata.unwrap();
        let expected = [("cost", "number 1"), ("decision_id", ID), ("generation", "7"), ("process", "none"), ("verdict", name)];
        assert_eq!(texts(&metadata), expected.map(|(key, text)| (key, text.to_owned())).into(), "{name}: no tenant that is not proven");
    }
}

#[tokio::test]
async fn a_denial_shows_later_filters_what_was_proven_until_then() {
    let metadata = answered(&fixture::own(), get("/acme/roles-api").by("acme client:app")).await.dynamic_metadata.unwrap();
    let texts = texts(&metadata);
    let shown = |key: &str| texts.get(key).map(String::as_str);
    assert_eq!((shown("tenant"), shown("api"), shown("subscription")), (Some("acme"), Some("roles-api"), Some("by-client")));
    assert_eq!((shown("verdict"), shown("cost")), (Some("role"), Some("number 1")));
}

#[tokio::test]
async fn an_allow_has_its_whole_answer() {
    let snapshot = fixture::own();
    let response = answered(&snapshot, get("/acme/billing-api").by("acme client:app")).await;
    let metadata = response.dynamic_metadata.clone().unwrap();
    let mut texts = texts(&metadata);
    let policy = texts.remove("policy").unwrap();
    assert!(policy.len() >= 16 && policy.bytes().all(|byte| byte.is_ascii_hexdigit()), "{policy}");
    let expected = [
        ("api", "billing-api"),
        ("cost", "number 1"),
        ("decision_id", ID),
        ("generation", "7"),
        ("namespace", "tenant-acme"),
        ("plan", "standard"),
        ("process", "none"),
        ("region", "eu"),
        ("subject", "alice"),
        ("subscription", "by-client"),
        ("tenant", "acme"),
        ("verdict", "allow"),
    ];
    assert_eq!(texts, expected.map(|(key, text)| (key, text.to_owned())).into());

    let ok = allowed(&snapshot, get("/acme/billing-api").by("acme client:app")).await;
    let expected = BTreeMap::from([
        (header::TENANT, "acme"),
        (header::SUBSCRIPTION, "by-client"),
        (header::API, "billing-api"),
        (header::SUBJECT, "alice"),
        (header::DECISION, ID),
        (header::HOP, "1"),
    ]);
    assert_eq!(pairs(&ok.headers), expected);
    let contract = [&[header::CONTEXT][..], &header::ROUTING, &header::FOREIGN].concat();
    assert_eq!(ok.headers_to_remove, [&contract[..], &["authorization", header::API_KEY]].concat());
    assert_eq!(
        ok,
        OkHttpResponse { headers: ok.headers.clone(), headers_to_remove: ok.headers_to_remove.clone(), ..OkHttpResponse::default() }
    );
}

#[tokio::test]
async fn s8_every_contract_header_is_set_or_removed_and_never_both() {
    for (snapshot, words) in [
        (fixture::own(), "acme"),
        (fixture::own(), "acme client:app"),
        (fixture::own(), "acme subject:"),
        (fixture::contract_routed(), "acme client:app"),
    ] {
        let ok = allowed(&snapshot, get("/acme/billing-api").by(words)).await;
        let set = pairs(&ok.headers);
        let contract = header::IDENTITY.into_iter().chain(header::FOREIGN).chain(header::ROUTING).chain([header::HOP]);
        for name in contract {
            let removed = ok.headers_to_remove.iter().any(|other| other == name);
            assert!(set.contains_key(name) != removed, "{name} for {words}");
        }
        assert!(ok.headers_to_remove.iter().all(|name| *name == name.to_ascii_lowercase()));
    }
}

#[tokio::test]
async fn s8_a_clients_own_is_removed_in_any_spelling_but_never_ours() {
    let asked = get("/acme/billing-api")
        .by("acme client:app")
        .with("x-bulkhead-tenant", "globex")
        .with("X-Bulkhead-Subject", "root")
        .with("X_Bulkhead_Tenant", "globex")
        .with("x-bulkhead_api", "other")
        .with("x_tenant_id", "globex")
        .with("X-Subscription_Id", "gold")
        .with("x-bulkhead-anything", "else")
        .with("x_api_key", "k")
        .with("X-HTTP-Method", "DELETE")
        .with("x_method_override", "DELETE")
        .with("x.bulkhead.tenant", "globex")
        .with("x-tenant.id", "globex")
        .with("x-bulkheads", "not ours")
        .with("x-tenant", "not ours");
    let ok = allowed(&fixture::own(), asked).await;
    let removed = |name: &str| ok.headers_to_remove.iter().any(|other| other == name);
    for name in [
        "x_bulkhead_tenant",
        "x-bulkhead_api",
        "x_tenant_id",
        "x-subscription_id",
        "x-bulkhead-anything",
        "x_api_key",
        "x-http-method",
        "x_method_override",
        "x.bulkhead.tenant",
        "x-tenant.id",
    ] {
        assert!(removed(name), "{name}");
    }
    // Envoy removes after it sets: ours must not be on the list, in any case.
    for name in ["x-bulkhead-tenant", "x-bulkhead-subject", "x-bulkheads", "x-tenant"] {
        assert!(!removed(name), "{name}");
    }
    let set = pairs(&ok.headers);
    assert_eq!((set["x-bulkhead-tenant"], set["x-bulkhead-subject"]), ("acme", "alice"));
}

#[tokio::test]
async fn s1_with_the_users_own_routes_no_header_that_routes_is_set() {
    let asked = get("/acme/billing-api").by("acme").with("x-bulkhead-cluster", "contract-http").with("x-bulkhead-upstream", "evil:80");
    let ok = allowed(&fixture::own(), asked).await;
    let set = pairs(&ok.headers);
    assert!(!set.keys().any(|name| name.starts_with(':') || header::ROUTING.contains(name)), "{set:?}");
    for name in header::ROUTING {
        assert!(ok.headers_to_remove.iter().any(|other| other == name), "{name}");
    }
}

#[tokio::test]
async fn contract_routing_sets_cluster_upstream_and_the_judged_path() {
    let asked = get("/acme/billing-api/invoices?q=1").by("acme").with("x-bulkhead-upstream", "evil:80");
    let ok = allowed(&fixture::contract_routed(), asked).await;
    let set = pairs(&ok.headers);
    assert_eq!(set[header::CLUSTER], "contract-http");
    assert_eq!(set[header::UPSTREAM], "127.0.0.1:18081");
    assert_eq!(set[header::ADDRESS], "127.0.0.1:18081");
    assert_eq!(set[":path"], "/v1/invoices?q=1");
    assert!(!set.contains_key(":authority"));
    assert!(!ok.headers_to_remove.iter().any(|name| header::ROUTING.contains(&name.as_str())));
}

#[tokio::test]
async fn s13_credentials_stop_here_unless_the_api_wants_them() {
    let removed = async |asked: Asked| {
        let ok = allowed(&fixture::own(), asked.with("X_Api_Key", "k")).await;
        ["authorization", "x-api-key", "x_api_key"].map(|name| ok.headers_to_remove.iter().any(|other| other == name))
    };
    assert_eq!(removed(get("/acme/billing-api").by("acme")).await, [true, true, true]);
    // A spelling that nobody verified goes in any case.
    assert_eq!(removed(get("/acme/key-api").by("acme key")).await, [false, false, true]);
}

#[tokio::test]
async fn s24_every_allow_carries_the_hop_mark() {
    let ok = allowed(&fixture::own(), get("/acme/billing-api").by("acme")).await;
    assert_eq!(pairs(&ok.headers)[header::HOP], "1");
}

#[tokio::test]
async fn s25_a_subject_that_no_header_can_hold_is_encoded_and_an_empty_one_removed() {
    let ok = allowed(&fixture::own(), get("/acme/billing-api").by("acme subject:zoë\r\nx-evil")).await;
    assert_eq!(pairs(&ok.headers)[header::SUBJECT], "zo%C3%AB%0D%0Ax-evil");
    let ok = allowed(&fixture::own(), get("/acme/billing-api").by("acme subject:")).await;
    assert!(!pairs(&ok.headers).contains_key(header::SUBJECT));
    assert!(ok.headers_to_remove.iter().any(|name| name == header::SUBJECT));
}

#[test]
fn s22_a_tenant_without_policy_shows_no_policy_hash() {
    let snapshot = fixture::own();
    let facts = Facts { tenant: snapshot.tenant("broken").cloned(), ..Facts::default() };
    let verdict = Verdict { facts, ..Verdict::denied(Denial::new(Reason::Unavailable, "")) };
    let reply = Reply::to(&Decision { id: ID.to_owned(), generation: Some(7), verdict }, &Headers::default()).read().unwrap();
    let metadata = reply.dynamic_metadata.unwrap();
    let texts = texts(&metadata);
    assert_eq!((texts["tenant"].as_str(), texts.get("policy")), ("broken", None));
}

#[tokio::test]
async fn s23_process_is_told_when_what_let_a_request_in_is_over() {
    let told = async |process, of_token, of_subscription| {
        let change = |verdict: &mut Verdict| {
            let allowed = verdict.outcome.as_mut().unwrap();
            allowed.obligations.process = process;
            allowed.caller.expires = of_token;
            let subscription = allowed.subscription.as_deref().unwrap().clone();
            allowed.subscription = Some(Arc::new(Subscription { expires_at: of_subscription, ..subscription }));
        };
        let response = answered_with(&fixture::own(), get("/acme/paid-api").by("acme client:app"), change).await;
        texts(&response.dynamic_metadata.unwrap()).get("expires").cloned()
    };
    for (of_token, of_subscription, earlier) in [
        (Some(7), None, Some("7")),
        (Some(7), Some(9), Some("7")),
        (Some(9), Some(7), Some("7")),
        (None, Some(7), Some("7")),
        (None, None, None),
    ] {
        assert_eq!(told(Process::Response, of_token, of_subscription).await.as_deref(), earlier);
        assert_eq!(told(Process::None, of_token, of_subscription).await, None);
    }
}
