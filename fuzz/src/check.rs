//! What Envoy asks of the authorizer, with every request.

use std::{
    cell::OnceCell,
    sync::Arc,
    time::{Duration, Instant},
};

use bulkhead_ext_authz::{
    attributes::Attributes,
    decide::{Due, Judge},
    reply::Reply,
    tenant::Identity,
    verdict::{Decision, Verdict},
};
use bulkhead_proto::pb::envoy::service::auth::v3::{CheckRequest, check_response::HttpResponse};
use bulkhead_tenancy::snapshot::Snapshot;
use prost::Message as _;

/// A judge that has nobody's keys, and what runs it.
struct Authorizer {
    runtime: tokio::runtime::Runtime,
    judge: Judge<Identity>,
    snapshot: Arc<Snapshot>,
}

impl Authorizer {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self {
            runtime,
            judge: crate::admin::explain::judge(),
            snapshot: crate::contract::snapshot("").expect("the operator's files are good"),
        }
    }
}

thread_local! {
    static AUTHORIZER: OnceCell<Authorizer> = const { OnceCell::new() };
}

/// What is read is what the generated code reads, and whoever asks without a credential that anybody could verify is denied.
pub(crate) fn check(data: &[u8]) {
    let Ok(read) = Attributes::read(data) else { return };
    let request = CheckRequest::decode(data).expect("what is read is a CheckRequest");
    let verdict = match read.as_ref() {
        Ok(attributes) => {
            are_those_of(attributes, &request);
            AUTHORIZER.with(|authorizer| {
                let Authorizer { runtime, judge, snapshot } = authorizer.get_or_init(Authorizer::start);
                let due = Due::at((Instant::now() + Duration::from_secs(5)).into());
                runtime.block_on(judge.decide(snapshot, attributes, due))
            })
        }
        Err(denial) => Verdict::denied(denial.clone()),
    };
    let decision = Decision { id: "id".to_owned(), generation: None, verdict };
    let arrived = read.map(|attributes| attributes.headers).unwrap_or_default();
    let reply = Reply::to(&decision, &arrived).read().expect("an answer");
    assert_ne!(reply.status.map_or(0, |status| status.code), 0);
    assert!(matches!(reply.http_response, Some(HttpResponse::DeniedResponse(_))), "nobody is proven");
}

/// Whether texts and headers are those of the request.
fn are_those_of(attributes: &Attributes<'_>, request: &CheckRequest) {
    let http =
        request.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()?.http.as_ref()).expect("it has HTTP attributes");
    let Attributes { method, scheme, authority, path, query, headers, .. } = attributes;
    let whole = query.map_or_else(|| (*path).to_owned(), |query| format!("{path}?{query}"));
    assert_eq!((*method, *scheme, *authority, &whole), (&*http.method, &*http.scheme, &*http.host, &http.path));
    let listed = http.header_map.iter().flat_map(|map| &map.headers);
    let listed = listed.map(|header| (&header.key, if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value }));
    let all: Vec<_> = listed.chain(http.headers.iter().map(|(name, value)| (name, value.as_bytes()))).collect();
    assert_eq!(headers.len(), all.len());
    for (name, value) in all {
        assert!(headers.all(&name.to_ascii_lowercase()).any(|own| own == value), "{name} is not there");
    }
}
