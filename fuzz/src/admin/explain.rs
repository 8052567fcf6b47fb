//! The authorizer's door: explanations.

use std::{cell::OnceCell, sync::Arc, time::Duration};

use async_trait::async_trait;
use bulkhead_ext_authz::{
    attributes::Attributes,
    decide::{Declared, Due, Judge},
    explain::{
        recent::Recent,
        routes::{self, Inside},
        told::Told,
    },
    record::Seen,
    tenant::{FetchError, Identity, KeyProvider, Settings},
    verdict::Decision,
};
use bulkhead_proto::json::check;
use bulkhead_tenancy::{
    clock::SystemClock,
    issuer::Issuer,
    snapshot::{Live, Snapshot},
};
use http::{Method, StatusCode};
use prost::Message as _;
use serde_json::Value;
use tokio::time::Instant;

use super::{Asked, Door, Services};

/// A provider that has no keys: nothing leaves this process.
struct Nobody;

#[async_trait]
impl KeyProvider for Nobody {
    async fn fetch(&self, _: &Issuer) -> Result<Vec<Value>, FetchError> {
        Ok(Vec::new())
    }
}

/// Credentials as headers name them.
const CREDENTIALS: [&str; 3] = ["authorization", "x-api-key", "cookie"];

/// Shorter values may stand in an answer by chance.
const TELLING: usize = 12;

pub(crate) fn judge() -> Judge<Identity> {
    let clock = Arc::new(SystemClock);
    Judge::new(Identity::new(Settings::default(), Arc::<SystemClock>::clone(&clock), Arc::new(Nobody)), clock, Declared::default())
}

/// A door with a decision of each tenant (by its name), and one of nobody.
async fn door(snapshot: Arc<Snapshot>) -> Door {
    let recent = Arc::new(Recent::default());
    let owners = snapshot.tenants().map(|tenant| (tenant.name.as_str(), Some(Arc::clone(tenant))));
    for (id, owner) in owners.chain([("nobody", None)]) {
        let request = format!(r#"{{"attributes":{{"request":{{"http":{{"method":"GET","host":"h","path":"/{id}/billing-api"}}}}}}}}"#);
        let message = check::read_request(&request).expect("a request").encode_to_vec();
        let attributes = Attributes::read(&message).expect("a CheckRequest").expect("attributes");
        let mut verdict = judge().decide(&snapshot, &attributes, Due::at(Instant::now() + Duration::from_secs(5))).await;
        verdict.facts.tenant = owner;
        recent.add(Told::new(Decision { id: id.to_owned(), generation: None, verdict }, Some(Seen::from(&attributes))));
    }
    let live = Live::default();
    live.publish(snapshot);
    Door::of(routes::routes(Inside { recent, live, judge: judge(), limits: None }))
}

thread_local! {
    static SERVICES: OnceCell<Services> = const { OnceCell::new() };
}

/// Nothing breaks the door. A tenant sees its own decisions and no others; a recorded request is answered with a response for Envoy, which allows
/// exactly where it says so, and repeats no credential.
pub(crate) fn explain(data: &[u8]) {
    let Some(asked) = Asked::read(data) else { return };
    SERVICES.with(|services| {
        let services = services.get_or_init(|| Services::start("", door));
        services.runtime.block_on(async {
            let Some((status, text)) = services.answer(&asked).await else { return };
            if asked.is_the_operators() && status == StatusCode::OK && asked.method == Method::POST {
                let told: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(told["verdict"] == "allow", told["response"].get("okResponse").is_some(), "{text}");
                repeats_no_credential(&services.both, &asked, &text).await;
            }
        });
    });
}

/// A value that the same request with another value is not answered with either, stands there for itself.
async fn repeats_no_credential(door: &Door, asked: &Asked<'_>, text: &str) {
    let Ok(request) = serde_json::from_str::<Value>(asked.body) else { return };
    let headers = request.pointer("/attributes/request/http/headers").and_then(Value::as_object);
    let secret = |name: &str| CREDENTIALS.iter().any(|one| name.eq_ignore_ascii_case(one));
    let values = headers.into_iter().flatten().filter(|(name, _)| secret(name)).filter_map(|(_, value)| value.as_str());
    for value in values.filter(|value| value.len() >= TELLING && asked.body.matches(value).count() == 1 && text.contains(*value)) {
        let body = asked.body.replace(value, &"x".repeat(value.len()));
        let other = Asked { body: &body, caller: asked.caller.clone(), method: asked.method.clone(), ..*asked };
        let answer = door.answer(&other).await.expect("as before");
        assert!(answer.1.contains(value), "a credential is repeated: {text}");
    }
}
