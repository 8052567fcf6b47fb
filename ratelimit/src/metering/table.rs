//! A page of the bill, as JSON and as CSV.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Entry, Page, hours::written};

/// One line, with the names that both forms have.
#[derive(Debug, Serialize)]
pub(super) struct Row<'e> {
    tenant: Option<&'e str>,
    uid: Option<&'e str>,
    subscription: Option<&'e str>,
    api: Option<&'e str>,
    hour: String,
    admitted: u64,
    denied: u64,
}

impl<'e> From<&'e Entry> for Row<'e> {
    fn from(entry: &'e Entry) -> Self {
        Self {
            tenant: entry.subject.name.as_deref(),
            uid: entry.subject.uid.as_ref().map(|uid| uid.as_str()),
            subscription: entry.line.subscription.as_ref().map(|name| name.as_str()),
            api: entry.line.api.as_ref().map(|name| name.as_str()),
            hour: written(entry.hour),
            admitted: entry.admitted,
            denied: entry.denied,
        }
    }
}

pub(super) fn rows(page: &Page) -> Vec<Row<'_>> {
    page.entries.iter().map(Row::from).collect()
}

/// RFC 4180. No name has a comma, a quote or a line break, and none begins with what a spreadsheet takes for a formula but a uid's hyphen.
pub(super) fn csv(page: &Page) -> String {
    let mut text = "tenant,uid,subscription,api,hour,admitted,denied\r\n".to_owned();
    for Row { tenant, uid, subscription, api, hour, admitted, denied } in rows(page) {
        let [tenant, uid, subscription, api] = [tenant, uid, subscription, api].map(Option::unwrap_or_default);
        // Writing to a String cannot fail.
        let _ = write!(text, "{tenant},{uid},{subscription},{api},{hour},{admitted},{denied}\r\n");
    }
    text
}
