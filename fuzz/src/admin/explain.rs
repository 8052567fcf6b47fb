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
use serde_json::Value;
use tokio::{runtime::Runtime, time::Instant};

use super::{Asked, Door};
use crate::contract::{alone, snapshot};

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

/// A service with another tenant in it, and one without.
struct Services {
    runtime: Runtime,
    both: Door,
    alone: Door,
}

impl Services {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let door = |snapshot: Option<Arc<Snapshot>>| runtime.block_on(door(snapshot.expect("the operator's files are good")));
        let (both, alone) = (door(snapshot("")), door(alone("")));
        Self { runtime, both, alone }
    }
}

fn judge() -> Judge<Identity> {
    let clock = Arc::new(SystemClock);
    Judge::new(Identity::new(Settings::default(), Arc::<SystemClock>::clone(&clock), Arc::new(Nobody)), clock, Declared::default())
}

/// A door with a decision of each tenant (by its name), and one of nobody.
async fn door(snapshot: Arc<Snapshot>) -> Door {
    let recent = Arc::new(Recent::default());
    let owners = snapshot.tenants().map(|tenant| (tenant.name.as_str(), Some(Arc::clone(tenant))));
    for (id, owner) in owners.chain([("nobody", None)]) {
        let request = format!(r#"{{"attributes":{{"request":{{"http":{{"method":"GET","host":"h","path":"/{id}/billing-api"}}}}}}}}"#);
        let attributes = Attributes::of(check::read_request(&request).expect("a request")).expect("attributes");
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
        let Services { runtime, both, alone } = services.get_or_init(Services::start);
        runtime.block_on(async {
            let Some((status, text)) = both.answer(&asked).await else { return };
            assert!(!status.is_server_error(), "{status}: {text}");
            if !asked.is_the_operators() {
                assert_eq!(Some((status, text.clone())), alone.answer(&asked).await, "another tenant shows");
                assert!(status != StatusCode::OK || asked.method == Method::GET, "a tenant had a request explained: {text}");
                assert!(status != StatusCode::OK || !asked.is_of_another(), "a token of before was told: {text}");
            } else if status == StatusCode::OK && asked.method == Method::POST {
                let told: Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!(told["verdict"] == "allow", told["response"].get("okResponse").is_some(), "{text}");
                repeats_no_credential(both, &asked, &text).await;
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
