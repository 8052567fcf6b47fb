//! Six facts of Envoy 1.40 that decide security, each observed on the real binary: our code relies on them, so a new Envoy that changes
//! one must fail here.

use bulkhead_proto::pb::envoy::service::{
    auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse},
    ext_proc::v3::{
        BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ProcessingResponse, body_mutation::Mutation,
        processing_request, processing_response,
    },
    ratelimit::v3::RateLimitRequest,
};
use bulkhead_tests::{
    client::{Answer, Request},
    double::{Authorizer, Limiter, Processor, allow, denied},
    envoy::{Envoy, chain},
    upstream::Upstream,
};
use serde_json::{Value, json};
use tonic::Status;

const SECRET: &str = "4111-1111-1111-1111";
const REDACTED: &str = "[redacted]";

/// Envoy, asking an authorizer that answers so; the answer to one request and how many reached the upstream.
async fn judged(answer: impl Fn() -> Result<CheckResponse, Status> + Send + Sync + 'static) -> (Answer, u64) {
    let upstream = Upstream::start("upstream").await;
    let authorizer = Authorizer::start(move |_| answer()).await;
    let bootstrap = chain::bootstrap(&[chain::ext_authz()], upstream.address(), &[("ext-authz", authorizer.address())]);
    let envoy = Envoy::start(&bootstrap).await;
    let answer = Request::get("/").send(envoy.address()).await;
    assert_eq!(authorizer.requests().len(), 1);
    (answer, upstream.requests())
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_1_a_default_check_response_allows() {
    let (answer, reached) = judged(|| Ok(CheckResponse::default())).await;
    assert_eq!((answer.status, reached), (200, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_1_status_ok_beside_a_denied_response_allows() {
    let contradiction =
        || CheckResponse { http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse::default())), ..allow(&[], None) };
    let (answer, reached) = judged(move || Ok(contradiction())).await;
    assert_eq!((answer.status, reached), (200, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_1_another_status_beside_an_ok_response_is_403() {
    let contradiction = || CheckResponse { http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())), ..denied(401, "") };
    let (answer, reached) = judged(move || Ok(contradiction())).await;
    assert_eq!((answer.status, reached), (403, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_6_a_grpc_error_of_check_is_an_error_and_not_a_denial() {
    let (answer, reached) = judged(|| Err(Status::permission_denied("no"))).await;
    assert_eq!((answer.status, reached), (503, 0), "status_on_error, not 403");
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_6_a_denial_inside_a_grpc_ok_answer_has_its_own_status_and_body() {
    let (answer, reached) = judged(|| Ok(denied(401, "who are you?"))).await;
    assert_eq!((answer.status, answer.text().as_str(), reached), (401, "who are you?", 0));
}

/// Envoy with ext_authz and ratelimit; what the limiter was asked about one request.
async fn charged(check: CheckResponse, rate_limits: &Value) -> (u16, Vec<RateLimitRequest>) {
    let upstream = Upstream::start("upstream").await;
    let authorizer = Authorizer::start(move |_| Ok(check.clone())).await;
    let limiter = Limiter::admitting().await;
    let filters = [chain::ext_authz(), chain::ratelimit(rate_limits)];
    let services = [("ext-authz", authorizer.address()), ("ratelimit", limiter.address())];
    let envoy = Envoy::start(&chain::bootstrap(&filters, upstream.address(), &services)).await;
    let answer = Request::get("/").send(envoy.address()).await;
    (answer.status, limiter.requests())
}

fn entries(request: &RateLimitRequest) -> Vec<Vec<(&str, &str)>> {
    let descriptors = request.descriptors.iter();
    descriptors.map(|descriptor| descriptor.entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str())).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_4_a_descriptor_with_a_missing_key_is_dropped_and_if_all_drop_nobody_is_asked() {
    let limits = json!([{ "actions": [chain::metadata_entry("tenant", None)] }, { "actions": [chain::metadata_entry("plan", None)] }]);
    let (status, asked) = charged(allow(&[("plan", "starter")], None), &limits).await;
    assert_eq!(status, 200);
    assert_eq!(asked.iter().map(entries).collect::<Vec<_>>(), [[[("plan", "starter")]]], "the descriptor of the missing tenant is gone");

    let (status, asked) = charged(allow(&[], None), &limits).await;
    assert_eq!((status, asked.len()), (200, 0), "the request went through uncharged");
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_4_an_empty_value_is_a_missing_one() {
    let limits = json!([{ "actions": [chain::metadata_entry("tenant", None)] }]);
    let (status, asked) = charged(allow(&[("tenant", "")], None), &limits).await;
    assert_eq!((status, asked.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_4_a_default_value_keeps_the_descriptor() {
    let limits = json!([{ "actions": [chain::metadata_entry("tenant", Some("__unresolved__"))] }]);
    let (_, asked) = charged(allow(&[], None), &limits).await;
    assert_eq!(asked.iter().map(entries).collect::<Vec<_>>(), [[[("tenant", "__unresolved__")]]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_5_without_cost_the_descriptor_is_dropped_and_with_it_the_cost_is_charged() {
    let limits = json!([{
        "actions": [chain::metadata_entry("tenant", Some("__unresolved__"))],
        "hits_addend": { "format": "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:cost)%" },
    }]);
    let (status, asked) = charged(allow(&[("tenant", "acme")], None), &limits).await;
    assert_eq!((status, asked.len()), (200, 0), "no cost: the request went through uncharged");

    let (_, asked) = charged(allow(&[("tenant", "acme")], Some(7.0)), &limits).await;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].descriptors[0].hits_addend.as_ref().map(|cost| cost.value), Some(7));
}

/// A processor that replaces every body.
async fn redactor() -> Processor {
    Processor::start(|message| {
        let response = match &message.request {
            Some(processing_request::Request::RequestHeaders(_)) => {
                processing_response::Response::RequestHeaders(HeadersResponse::default())
            }
            Some(processing_request::Request::RequestBody(_)) => processing_response::Response::RequestBody(BodyResponse {
                response: Some(CommonResponse {
                    // Envoy answers 500 where the length does not fit the new body.
                    header_mutation: Some(HeaderMutation {
                        remove_headers: vec!["content-length".to_owned()],
                        ..HeaderMutation::default()
                    }),
                    body_mutation: Some(BodyMutation { mutation: Some(Mutation::Body(REDACTED.as_bytes().to_vec())) }),
                    ..CommonResponse::default()
                }),
            }),
            other => return Err(Status::unimplemented(format!("{other:?}"))),
        };
        Ok(Some(ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }))
    })
    .await
}

/// Sends bodies through ext_proc and ratelimit in this order; how many of them reached the upstream raw, and how many redacted.
async fn bodies(request_header_mode: &str, processor_first: bool) -> (usize, usize) {
    const SENT: usize = 16;
    let upstream = Upstream::start("upstream").await;
    let authorizer = Authorizer::start(|_| Ok(allow(&[("tenant", "acme")], None))).await;
    let limiter = Limiter::admitting().await;
    let processor = redactor().await;
    let mut later = vec![chain::ratelimit(&json!([{ "actions": [chain::metadata_entry("tenant", None)] }]))];
    later.insert(if processor_first { 0 } else { 1 }, chain::ext_proc(request_header_mode));
    let filters: Vec<Value> = [chain::ext_authz()].into_iter().chain(later).collect();
    let services = [("ext-authz", authorizer.address()), ("ratelimit", limiter.address()), ("ext-proc", processor.address())];
    let envoy = Envoy::start(&chain::bootstrap(&filters, upstream.address(), &services)).await;
    let (mut raw, mut redacted) = (0, 0);
    for _ in 0..SENT {
        let answer = Request::post("/", SECRET).send(envoy.address()).await;
        let body = if answer.status == 200 { answer.seen().body } else { String::new() };
        raw += usize::from(body.contains(SECRET));
        redacted += usize::from(body == REDACTED);
    }
    (raw, redacted)
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_2_ext_proc_is_bypassed_with_skipped_headers_before_ratelimit() {
    let (raw, _) = bodies("SKIP", true).await;
    assert!(raw > 0, "some body must reach the upstream as it was sent: if none does, Envoy has changed, and the rule can be relaxed");
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_2_ext_proc_sees_every_body_with_sent_headers_in_either_order() {
    assert_eq!(bodies("SEND", true).await, (0, 16));
    assert_eq!(bodies("SEND", false).await, (0, 16));
}

/// One body through ext_proc with this processor: the answer, what reached the upstream, and the counter of closed streams.
async fn processed(processor: Processor) -> (u16, Option<String>, u64) {
    let upstream = Upstream::start("upstream").await;
    let bootstrap = chain::bootstrap(&[chain::ext_proc("SEND")], upstream.address(), &[("ext-proc", processor.address())]);
    let envoy = Envoy::start(&bootstrap).await;
    let answer = Request::post("/", SECRET).send(envoy.address()).await;
    let closed = envoy.stat("http.gateway.ext_proc.server_half_closed").await;
    (answer.status, upstream.last().map(|seen| seen.body), closed)
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_3_ext_proc_fails_open_on_a_clean_end_of_the_stream() {
    let (status, body, closed) = processed(Processor::start(|_| Ok(None)).await).await;
    assert_eq!((status, body.as_deref()), (200, Some(SECRET)), "the raw body went through, although failure_mode_allow is false");
    assert_eq!(closed, 1, "the counter that operators must watch");
}

#[tokio::test(flavor = "multi_thread")]
async fn fact_3_ext_proc_fails_closed_on_an_error_status() {
    let (status, body, _) = processed(Processor::start(|_| Err(Status::internal("broken"))).await).await;
    assert_eq!((status, body), (500, None));
}
