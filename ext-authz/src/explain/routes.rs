//! Explanations on the admin door: of a recent decision by its id, and of a recorded request as it would be decided now.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bulkhead_doors::admin::{AdminRoutes, Caller};
use bulkhead_proto::json::check;
use bulkhead_tenancy::snapshot::Live;
use http::StatusCode;
use serde::Serialize;

use super::{recent::Recent, told::Explanation};
use crate::{decide::Judge, limits::Charging, tenant::Identity};

/// What the admin door explains from.
pub struct Inside {
    /// The last decisions.
    pub recent: Arc<Recent>,
    /// The snapshot of the moment.
    pub live: Live,
    /// A judge of its own: what an operator tries out counts against no source and no tenant (S5).
    pub judge: Judge<Identity>,
    /// Whoever charges limits, if that is done here: they are looked at for an explanation, and not charged.
    pub limits: Option<Charging>,
}

/// The routes. A recorded request is the operator's alone to send: it holds somebody's credentials.
#[must_use]
pub fn routes(inside: Inside) -> AdminRoutes {
    let inside = Arc::new(inside);
    AdminRoutes {
        operator: Router::new().route("/explain", post(anew)).with_state(Arc::clone(&inside)),
        tenants: Router::new().route("/explain/{id}", get(by_id)).with_state(inside),
    }
}

/// `GET /explain/{id}`. To a tenant a decision that is not its own is not there, as one that nobody made (S22).
async fn by_id(
    State(inside): State<Arc<Inside>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Explanation>, StatusCode> {
    let found = match &caller {
        Caller::Operator => inside.recent.of_anybody(&id).map(|told| told.explained()),
        Caller::Tenant { name, .. } => {
            let snapshot = inside.live.load().ok_or(StatusCode::NOT_FOUND)?;
            let own = snapshot.tenant(name.as_str()).filter(|tenant| caller.sees(tenant));
            own.and_then(|tenant| inside.recent.of(&tenant.uid, &id)).map(|told| told.explained_to_its_tenant())
        }
    };
    found.map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// What a recorded request would be answered now.
#[derive(Serialize)]
struct Anew {
    #[serde(flatten)]
    explanation: Explanation,
    /// What the tenant's rules were asked about, if they were: of MCP each message by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rule_input: Vec<serde_json::Value>,
    response: serde_json::Value,
}

/// `POST /explain`: a CheckRequest as proto-JSON.
async fn anew(State(inside): State<Arc<Inside>>, request: String) -> Response {
    let request = match check::read_request(&request) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("the CheckRequest: {error}\n")).into_response(),
    };
    let Some(snapshot) = inside.live.load() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let (told, response, inputs) = super::decided(&snapshot, &inside.judge, inside.limits.as_ref(), request).await;
    let rule_input = inputs.iter().filter_map(|input| serde_json::from_str(&input.to_json()).ok()).collect();
    Json(Anew { explanation: told.explained(), rule_input, response }).into_response()
}

#[cfg(test)]
mod tests {
    use bulkhead_tenancy::clock::{Clock, SystemClock};

    use super::*;
    use crate::{
        decide::Declared,
        explain::told::Told,
        fixture, serve,
        verdict::{Decision, Denial, Facts, Named, Reason, Verdict},
    };

    fn inside() -> Arc<Inside> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let live = Live::default();
        live.publish(fixture::own());
        let judge = Judge::new(serve::identity(&clock).unwrap(), clock, Declared::default());
        Arc::new(Inside { recent: Arc::default(), live, judge, limits: None })
    }

    fn remember(inside: &Inside, id: &str, tenant: &str, reason: Reason) {
        let tenant = inside.live.load().unwrap().tenant(tenant).cloned();
        let facts = Facts { tenant, ..Facts::default() };
        let verdict = Verdict { facts, ..Verdict::denied(Denial::new(reason, "the operator's detail")) };
        inside.recent.add(Told::new(Decision { id: id.to_owned(), generation: Some(7), verdict }, None));
    }

    async fn asked(inside: &Arc<Inside>, caller: Caller, id: &str) -> Result<serde_json::Value, StatusCode> {
        let answer = by_id(State(Arc::clone(inside)), Extension(caller), Path(id.to_owned())).await;
        answer.map(|Json(explanation)| serde_json::to_value(explanation).unwrap())
    }

    fn of(name: &str, uid: Option<&str>) -> Caller {
        Caller::Tenant { name: name.parse().unwrap(), uid: uid.map(|uid| uid.parse().unwrap()) }
    }

    #[tokio::test]
    async fn s22_a_decision_is_explained_to_whom_it_is_and_to_nobody_else() {
        let inside = inside();
        remember(&inside, "one", "acme", Reason::Role);
        remember(&inside, "two", "acme", Reason::Unavailable);
        remember(&inside, "three", "nobody", Reason::NoCredentials);
        let told = asked(&inside, Caller::Operator, "one").await.unwrap();
        assert_eq!((&told["tenant"], &told["verdict"], &told["generation"]), (&"acme".into(), &"role".into(), &7.into()));
        assert_eq!(told["steps"][0]["detail"], "the operator's detail");
        assert!(asked(&inside, Caller::Operator, "three").await.is_ok());

        let own = asked(&inside, of("acme", None), "one").await.unwrap();
        assert_eq!((&own["steps"][0]["detail"], own.get("generation")), (&"the operator's detail".into(), None));
        assert!(asked(&inside, of("acme", None), "two").await.unwrap()["steps"][0].get("detail").is_none(), "it may tell of others' load");
        for (caller, id) in [(of("globex", None), "one"), (of("acme", Some("another")), "one"), (of("acme", None), "three")] {
            assert_eq!(asked(&inside, caller, id).await, Err(StatusCode::NOT_FOUND), "{id}");
        }
        assert_eq!(asked(&inside, Caller::Operator, "four").await, Err(StatusCode::NOT_FOUND));
    }

    #[tokio::test]
    async fn s22_a_tenant_is_not_told_whose_a_host_is_and_of_which_api() {
        let inside = inside();
        let asked_at = |tenant: &str, agree| {
            let own = inside.live.load().unwrap().tenant("globex").cloned();
            let named = Some(Named { tenant: Some(tenant.to_owned()), api: Some("hosted-api".to_owned()), agree });
            let verdict = Verdict::denied(Denial::new(Reason::WrongTenant, "x"));
            let verdict =
                Verdict { facts: Facts { tenant: own, named, ..Facts::default() }, step: crate::verdict::Step::Tenant, ..verdict };
            let request = fixture::get("/x").request();
            let seen = crate::attributes::Attributes::of(request).ok().as_ref().map(crate::record::Seen::from);
            inside.recent.add(Told::new(Decision { id: format!("{tenant} {agree}"), generation: None, verdict }, seen));
        };
        for (tenant, agree, is_told) in [("acme", true, false), ("globex", false, false), ("globex", true, true)] {
            asked_at(tenant, agree);
            let id = format!("{tenant} {agree}");
            let learnt = |told: serde_json::Value| told["steps"][0]["learnt"].as_str().unwrap().to_owned();
            let own = learnt(asked(&inside, of("globex", None), &id).await.unwrap());
            assert_eq!(own.contains("hosted-api") && own.contains(tenant), is_told, "{own}");
            assert!(is_told || !own.contains("hosted-api"), "{own}");
            assert!(learnt(asked(&inside, Caller::Operator, &id).await.unwrap()).contains("hosted-api"));
        }
    }

    #[tokio::test]
    async fn a_recorded_request_is_decided_anew() {
        let inside = inside();
        let http = r#"{"attributes":{"request":{"http":{"method":"GET","host":"h","path":"/acme/billing-api/x?secret"}}}}"#;
        let answer = anew(State(Arc::clone(&inside)), http.to_owned()).await;
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&told["verdict"], &told["steps"][0]["verdict"]), (&"no_credentials".into(), &"passes".into()));
        assert!(told["steps"][0]["learnt"].as_str().unwrap().contains(r#"names tenant "acme", API "billing-api""#));
        assert!(told["response"].is_object() && !String::from_utf8_lossy(&body).contains("secret"));
        assert_eq!(anew(State(inside), "{".to_owned()).await.status(), StatusCode::BAD_REQUEST);
    }
}
