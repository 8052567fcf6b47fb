//! The counters over HTTP.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    response::{IntoResponse, Response},
};
use bulkhead_doors::admin::Caller;
use bulkhead_tenancy::{snapshot::Snapshot, tenant::Tenant};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{
    Counters, away,
    change::{Action, Order},
    descriptor::{self, DESCRIPTOR, Named},
    inventory::{Counter, Facts, PLATFORM},
    reading::Reading,
    record::{Change, Outcome},
};
use crate::{admin::Refusal, dropin::rules::Limit, store::Store};

/// Counters of one page, unless it is said, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

/// The query of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    tenant: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// A page of counters.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    counters: Vec<Shown>,
    /// The path of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One counter.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    path: String,
    #[serde(flatten)]
    facts: Facts,
    #[serde(flatten)]
    reading: Reading,
}

impl Shown {
    fn new(counter: Counter, reading: Reading) -> Self {
        Self { path: format!("/counters/{}", counter.path), facts: counter.facts, reading }
    }
}

/// `GET /counters`: the counters of a tenant, or of the platform.
pub(crate) async fn list(
    State(counters): State<Arc<Counters>>,
    Extension(caller): Extension<Caller>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    let Query(wanted) = wanted.map_err(|why| Refusal::Bad(why.body_text()))?;
    let limit = match wanted.limit {
        None => PAGE,
        Some(limit @ 1..=LARGEST_PAGE) => limit,
        Some(_) => return Err(Refusal::Bad(format!("`limit` must be 1 to {LARGEST_PAGE}"))),
    };
    // What a page costs is the tenant's own doing: the threads that decide are not for it (S12).
    let listing = Arc::clone(&counters);
    let listed = tokio::task::spawn_blocking(move || listed(&listing, &caller, &wanted, limit)).await;
    let Listed { tenant, page, next } = listed.map_err(|_| Refusal::Unavailable("the list was not made"))??;
    let readings = counters.read(counters.store.as_ref(), &page).await.map_err(away)?;
    let (tenant, uid) = tenant.unzip();
    Ok(Json(Page { tenant, uid, counters: page.into_iter().zip(readings).map(|(one, reading)| Shown::new(one, reading)).collect(), next }))
}

/// The counters of a page: of which tenant (name and uid), and the path of the next page.
struct Listed {
    tenant: Option<(String, String)>,
    page: Vec<Counter>,
    next: Option<String>,
}

fn listed(counters: &Counters, caller: &Caller, wanted: &Wanted, limit: usize) -> Result<Listed, Refusal> {
    let snapshot = counters.snapshot()?;
    let inventory = counters.inventory(&snapshot);
    let after = wanted.after.as_deref().unwrap_or_default();
    let tenant = tenant(caller, &snapshot, wanted.tenant.as_deref())?;
    let mut rest: Box<dyn Iterator<Item = Counter>> = match tenant {
        Some(tenant) => Box::new(inventory.of_tenant(tenant, after).filter(|one| visible(caller, tenant, one))),
        None => Box::new(inventory.platform().into_iter().filter(|one| one.path.as_str() > after)),
    };
    let page: Vec<Counter> = rest.by_ref().take(limit).collect();
    // Of all characters that a path has (names of zones too) only `+` means something else in a query.
    let next = page.last().filter(|_| rest.next().is_some()).map(|last| {
        let of = tenant.map(|tenant| format!("tenant={}&", tenant.name)).unwrap_or_default();
        format!("/counters?{of}after={}&limit={limit}", last.path.replace('+', "%2B"))
    });
    Ok(Listed { tenant: tenant.map(|tenant| (tenant.name.to_string(), tenant.uid.to_string())), page, next })
}

/// `GET /counters/{owner}/{counter}`: one counter.
pub(crate) async fn peek(
    State(counters): State<Arc<Counters>>,
    Extension(caller): Extension<Caller>,
    Path((owner, path)): Path<(String, String)>,
    named: Result<Query<Named>, QueryRejection>,
) -> Result<Json<Shown>, Refusal> {
    let Found { counter, store, .. } = find(&counters, &caller, &owner, &path, named)?;
    let reading = counters.read(store.as_ref(), std::slice::from_ref(&counter)).await.map_err(away)?.into_iter().next();
    reading.map(|reading| Json(Shown::new(counter, reading))).ok_or(Refusal::NotFound)
}

/// `POST /counters/{owner}/{counter}/reset` or `/grant`: the operator's alone.
pub(crate) async fn change(
    State(counters): State<Arc<Counters>>,
    Extension(caller): Extension<Caller>,
    Path((owner, path)): Path<(String, String)>,
    named: Result<Query<Named>, QueryRejection>,
    order: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Refusal> {
    if !caller.is_operator() {
        tracing::warn!(target: "audit", by = %caller, outcome = "refused", "a tenant's token may change no counter");
        return Err(Refusal::Forbidden);
    }
    // A body that is no JSON is refused by its type: a browser's form has another (S2).
    let Json(order) = order.map_err(|why| Refusal::Unread(why.status(), why.body_text()))?;
    let (path, action) = Action::of(&path).ok_or(Refusal::NotFound)?;
    let Found { counter, store, tenant, limit } = find(&counters, &caller, &owner, path, named)?;
    // Whoever asked may hang up: what was begun is ended and recorded all the same.
    let changing = tokio::spawn(async move {
        let changed = counters.change(&caller, store.as_ref(), counter, tenant, action, order).await;
        limit.iter().for_each(|limit| counters.forget(limit));
        changed
    });
    let record = changing.await.map_err(|_| Refusal::Unavailable("the change was not ended"))??;
    let status = match record.outcome {
        Outcome::Done => StatusCode::OK,
        Outcome::NoBucket => StatusCode::CONFLICT,
        Outcome::Unknown | Outcome::NotDone => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, Json(record)).into_response())
}

/// The last changes.
#[derive(Debug, Serialize)]
pub(crate) struct Recorded {
    changes: Vec<Change>,
}

/// The query of the changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Newest {
    limit: Option<usize>,
}

/// `GET /counters/changes`: the newest first; only those that this process made.
pub(crate) async fn changes(
    State(counters): State<Arc<Counters>>,
    newest: Result<Query<Newest>, QueryRejection>,
) -> Result<Json<Recorded>, Refusal> {
    let Query(newest) = newest.map_err(|why| Refusal::Bad(why.body_text()))?;
    Ok(Json(Recorded { changes: counters.changes.newest(newest.limit.unwrap_or(PAGE)) }))
}

/// The tenant that a list is of: the one named, or a tenant's own; none is the platform, which is the operator's alone.
fn tenant<'s>(caller: &Caller, snapshot: &'s Snapshot, named: Option<&str>) -> Result<Option<&'s Tenant>, Refusal> {
    let name = match (caller, named) {
        (_, Some(name)) => name,
        (Caller::Tenant { name, .. }, None) => name.as_str(),
        (Caller::Operator, None) => return Ok(None),
    };
    snapshot.tenant(name).filter(|tenant| caller.sees(tenant)).map(|tenant| Some(tenant.as_ref())).ok_or(Refusal::NotFound)
}

/// One counter: where it is kept, and whose it is.
struct Found {
    counter: Counter,
    store: Arc<dyn Store>,
    tenant: Option<Arc<Tenant>>,
    limit: Option<Limit>,
}

/// Finds a counter. To a tenant everything that is not its own is not there, whatever there is (S22).
fn find(
    counters: &Counters,
    caller: &Caller,
    owner: &str,
    path: &str,
    named: Result<Query<Named>, QueryRejection>,
) -> Result<Found, Refusal> {
    if owner == PLATFORM && !caller.is_operator() {
        return Err(Refusal::NotFound);
    }
    let Query(named) = named.map_err(|why| Refusal::Bad(why.body_text()))?;
    if owner == PLATFORM && path == DESCRIPTOR {
        let descriptor::Found { counter, store, limit } = counters.descriptor(named)?;
        return Ok(Found { counter, store, tenant: None, limit: Some(limit) });
    }
    if !named.is_empty() {
        return Err(Refusal::Bad("only a descriptor is named by `domain` and `entries`".to_owned()));
    }
    let snapshot = counters.snapshot()?;
    let inventory = counters.inventory(&snapshot);
    let (counter, tenant) = if owner == PLATFORM {
        let path = format!("{owner}/{path}");
        (inventory.platform().into_iter().find(|one| one.path == path), None)
    } else {
        let tenant = snapshot.tenant(owner).filter(|tenant| caller.sees(tenant)).ok_or(Refusal::NotFound)?;
        (inventory.find(tenant, path).filter(|one| visible(caller, tenant, one)), Some(Arc::clone(tenant)))
    };
    let counter = counter.ok_or(Refusal::NotFound)?;
    Ok(Found { counter, store: Arc::clone(&counters.store), tenant, limit: None })
}

/// A guarantee that the plan does not state is a share of what others leave: its size would tell a tenant how many they are (S22).
fn visible(caller: &Caller, tenant: &Tenant, counter: &Counter) -> bool {
    caller.is_operator() || counter.facts.level != "guarantee" || tenant.plan.guaranteed.is_some()
}
