//! What is asked at the admin doors: paths, queries and bodies. Each door is asked as the operator asks, and as the tenant `acme` does: of two services that
//! are alike but for another tenant, whose answers must be the same to it (S22).

mod counters;
pub(crate) mod explain;

use std::sync::Arc;

use axum::{Router, body::Body};
use bulkhead_doors::admin::{AdminRoutes, Caller};
use bulkhead_tenancy::snapshot::Snapshot;
use http::{Method, Request, StatusCode, header};
use tokio::runtime::Runtime;
use tower::Service as _;

pub(crate) use self::{counters::counters, explain::explain};
use crate::contract;

/// The longest answer that is looked at, in bytes.
const LONGEST: usize = 1 << 24;

/// One request: a letter for who asks and how, a path with its query, and from the next line on a body.
struct Asked<'i> {
    caller: Caller,
    method: Method,
    target: &'i str,
    body: &'i str,
}

impl<'i> Asked<'i> {
    fn read(data: &'i [u8]) -> Option<Self> {
        let (letter, rest) = super::text(data)?.split_at_checked(1)?;
        let (target, body) = rest.trim_start_matches(' ').split_once('\n').unwrap_or((rest.trim_start_matches(' '), ""));
        let tenant = |uid: Option<&str>| {
            let uid = uid.map(|uid| uid.parse().expect("a uid"));
            Caller::Tenant { name: "acme".parse().expect("a name"), uid }
        };
        let caller = match letter.to_ascii_lowercase().as_str() {
            "o" => Caller::Operator,
            "t" => tenant(None),
            "u" => tenant(Some("u-acme")),
            "x" => tenant(Some("u-before")),
            _ => return None,
        };
        let method = if letter == letter.to_ascii_lowercase() { Method::GET } else { Method::POST };
        Some(Self { caller, method, target, body })
    }

    fn is_the_operators(&self) -> bool {
        self.caller.is_operator()
    }

    /// It has a token of a tenant that had this name before (S23).
    fn is_of_another(&self) -> bool {
        matches!(&self.caller, Caller::Tenant { uid: Some(uid), .. } if uid.as_str() == "u-before")
    }
}

/// A service's routes, behind the guard that has proven who asks.
struct Door {
    operator: Router,
    tenants: Router,
}

impl Door {
    fn of(routes: AdminRoutes) -> Self {
        Self { operator: routes.operator.merge(routes.tenants.clone()), tenants: routes.tenants }
    }

    /// Status and text of the answer; none where no server would have read such a path.
    async fn answer(&self, asked: &Asked<'_>) -> Option<(StatusCode, String)> {
        let request = Request::builder().method(&asked.method).uri(asked.target).extension(asked.caller.clone());
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Body::from(asked.body.to_owned())).ok()?;
        let router = if asked.is_the_operators() { &self.operator } else { &self.tenants };
        let answer = match router.clone().call(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), LONGEST).await.expect("an answer that is not endless");
        Some((status, String::from_utf8(body.to_vec()).expect("text")))
    }

    /// What the operator is answered to a path that an answer named: it is there.
    async fn follow(&self, target: &str) -> serde_json::Value {
        let asked = Asked { caller: Caller::Operator, method: Method::GET, target, body: "" };
        let (status, text) = self.answer(&asked).await.unwrap_or_else(|| panic!("{target} is no path"));
        assert_eq!(status, StatusCode::OK, "{target}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

/// A service with another tenant in it, and one without.
struct Services {
    runtime: Runtime,
    both: Door,
    alone: Door,
}

impl Services {
    /// The services of a partition of acme's, each behind the door that is made of its snapshot.
    fn start(acme: &str, door: impl AsyncFn(Arc<Snapshot>) -> Door) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let door = |snapshot: Option<Arc<Snapshot>>| runtime.block_on(door(snapshot.expect("the operator's files are good")));
        let (both, alone) = (door(contract::snapshot(acme)), door(contract::alone(acme)));
        Self { runtime, both, alone }
    }

    /// Status and text of the answer, which broke nothing, and is a tenant's own: the same without the other tenant, nothing that it changed, and nothing to a
    /// token of before.
    async fn answer(&self, asked: &Asked<'_>) -> Option<(StatusCode, String)> {
        let (status, text) = self.both.answer(asked).await?;
        assert!(!status.is_server_error(), "{status}: {text}");
        // Both are asked, whoever asks: what the operator changes is changed in both.
        let without = self.alone.answer(asked).await;
        if !asked.is_the_operators() {
            assert_eq!(Some((status, text.clone())), without, "another tenant shows");
            assert!(status != StatusCode::OK || asked.method == Method::GET, "a tenant had something done: {text}");
            assert!(status != StatusCode::OK || !asked.is_of_another(), "a token of before was told: {text}");
        }
        Some((status, text))
    }
}
