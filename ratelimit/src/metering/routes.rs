//! The meters over HTTP.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use bulkhead_doors::admin::Caller;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::{Metering, Page, Place, Subject, UNRESOLVED, hours::Hours, table};
use crate::{
    admin::Refusal,
    store::{Hour, StoreError},
};

/// Lines of one page, unless it is said, and at most. A page ends with a whole hour of a tenant, and may so hold more.
const PAGE: usize = 1_000;
const LARGEST_PAGE: usize = 10_000;

/// Whose own store did not answer, for those who read CSV.
const UNREAD: HeaderName = HeaderName::from_static("x-bulkhead-unread");

/// The query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    tenant: Option<String>,
    uid: Option<String>,
    from: Option<String>,
    to: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// The answer in JSON.
#[derive(Debug, Serialize)]
struct Answer<'p> {
    from: String,
    to: String,
    lines: Vec<table::Row<'p>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unreadable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'p str>,
}

/// `GET /metering`: a page of the bill.
pub(crate) async fn read(
    State(metering): State<Arc<Metering>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(wanted) = wanted.map_err(|why| Refusal::Bad(why.body_text()))?;
    let limit = match wanted.limit {
        None => PAGE,
        Some(limit @ 1..=LARGEST_PAGE) => limit,
        Some(_) => return Err(Refusal::Bad(format!("`limit` must be 1 to {LARGEST_PAGE}"))),
    };
    let subjects = metering.subjects(&caller, &wanted)?;
    let now = metering.now().await.map_err(unanswered)?;
    let hours = Hours::read(wanted.from.as_deref(), wanted.to.as_deref(), now).map_err(Refusal::Bad)?;
    let after = wanted.after.as_deref().map(|text| place(text).ok_or_else(|| Refusal::Bad("`after` is no place of a page".to_owned())));
    let page = metering.page(subjects, hours, after.transpose()?.as_ref(), limit).await.map_err(unanswered)?;
    if page.unreadable > 0 {
        tracing::warn!(lines = page.unreadable, "a meter of the store holds lines that are none of ours");
    }
    // The threads that decide do not write it (S12).
    let written = tokio::task::spawn_blocking(move || answer(&wanted, hours, limit, &page, &headers)).await;
    written.map_err(|_| Refusal::Unavailable("the page was not made"))
}

/// The error says no address and no key (S22).
fn unanswered(error: StoreError) -> Refusal {
    tracing::warn!(error = %error, "the store did not answer the admin door");
    Refusal::Unavailable("the store does not answer")
}

impl Metering {
    /// Whose meters are asked for. To a tenant every other one is not there, whatever there is (S22).
    fn subjects(&self, caller: &Caller, wanted: &Wanted) -> Result<Vec<Subject>, Refusal> {
        let snapshot = self.live.load().ok_or(Refusal::Unavailable("no configuration is loaded yet"))?;
        let uid = wanted.uid.as_deref().map(str::parse).transpose();
        let uid = match (uid, caller) {
            (Ok(uid), _) => uid,
            (Err(_), Caller::Tenant { .. }) => return Err(Refusal::NotFound),
            (Err(why), Caller::Operator) => return Err(Refusal::Bad(format!("`uid` {why}"))),
        };
        let own = match caller {
            Caller::Tenant { name, .. } => Some(name.as_str()),
            Caller::Operator => None,
        };
        match (wanted.tenant.as_deref().or(own), uid) {
            (None, None) => Ok(self.everybody(&snapshot)),
            (None, Some(uid)) => Ok(vec![self.uid(uid)]),
            (Some(UNRESOLVED), None) if caller.is_operator() => Ok(vec![self.unresolved()]),
            (Some(name), uid) => {
                let tenant = snapshot.tenant(name).filter(|tenant| caller.sees(tenant)).ok_or(Refusal::NotFound)?;
                if uid.is_some_and(|uid| uid != tenant.uid) {
                    return Err(Refusal::NotFound);
                }
                Ok(vec![self.tenant(tenant)])
            }
        }
    }
}

fn answer(wanted: &Wanted, hours: Hours, limit: usize, page: &Page, headers: &HeaderMap) -> Response {
    let (from, to) = hours.ends();
    let next = page.next.as_ref().map(|place| {
        let given = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}={value}&")).unwrap_or_default();
        // Names and uids were found or parsed: nothing in them means anything in a query.
        let (tenant, uid) = (given("tenant", &wanted.tenant), given("uid", &wanted.uid));
        format!("/metering?{tenant}{uid}from={from}&to={to}&limit={limit}&after={}/{}", place.word, place.hour.0)
    });
    let link = next.as_ref().and_then(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\"")).ok());
    let unread: Vec<&str> = page.unread.iter().map(|subject| subject.word()).collect();
    // Names and uids need no quotes in a header.
    let missing = Some(unread.join(",")).filter(|names| !names.is_empty()).and_then(|names| HeaderValue::try_from(names).ok());
    let mut response = if wants_csv(headers) {
        ([(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], table::csv(page)).into_response()
    } else {
        Json(Answer { from, to, lines: table::rows(page), unreadable: page.unreadable > 0, unread, next: next.as_deref() }).into_response()
    };
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    if let Some(missing) = missing {
        response.headers_mut().insert(UNREAD, missing);
    }
    response
}

fn wants_csv(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    accepted.map(|one| one.split(';').next().unwrap_or_default().trim()).any(|one| one.eq_ignore_ascii_case("text/csv"))
}

fn place(text: &str) -> Option<Place> {
    let (word, hour) = text.split_once('/')?;
    Some(Place { word: word.to_owned(), hour: Hour(hour.parse().ok()?) })
}
