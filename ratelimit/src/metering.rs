//! What was metered: each admitted and denied cost by tenant, subscription, API and hour, read from the store that counted it in the same step
//! as it charged. What was answered without the store is counted [`later`].

pub mod hours;
pub mod later;
pub mod line;
pub(crate) mod routes;
mod table;

use std::{sync::Arc, time::Duration};

use bulkhead_tenancy::{
    name::TenantUid,
    snapshot::{Live, Snapshot},
    tenant::Tenant,
};
use tokio::time::Instant;

use self::{hours::Hours, line::Line};
use crate::{
    admin::Inside,
    key::{Account, Keyspace},
    look,
    store::{Hour, Metered, Micros, Store, StoreError},
};

/// How long one page is gathered: what is left is on the next.
const PAGE_TIME: Duration = Duration::from_secs(3);

/// How many hours of tenants one page looks at.
const PAGE_READS: usize = 2_000;

/// Reads meters.
pub struct Metering {
    live: Live,
    store: Arc<dyn Store>,
    keys: Keyspace,
}

/// Whose meter is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The tenant's name; none for a uid that no tenant has now.
    pub name: Option<String>,
    /// Its uid; none for what has no tenant.
    pub uid: Option<TenantUid>,
    account: Account,
    /// Whether its meter is in a store of its own.
    is_apart: bool,
}

impl Subject {
    /// The word that pages are sorted by: no two subjects have the same.
    fn word(&self) -> &str {
        self.name.as_deref().or(self.uid.as_ref().map(TenantUid::as_str)).unwrap_or_default()
    }
}

/// The name of what has no tenant: a reserved word, so no tenant has it.
pub const UNRESOLVED: &str = "unresolved";

/// Where a page begins: at an hour of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    word: String,
    hour: Hour,
}

/// One line of the bill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    subject: Arc<Subject>,
    line: Line,
    hour: Hour,
    admitted: u64,
    denied: u64,
}

/// A part of what was asked for.
#[derive(Debug, Default)]
pub struct Page {
    entries: Vec<Entry>,
    /// Lines of the store that are none of ours.
    unreadable: u64,
    /// Whose own store did not answer: they have a bill, and it is not here.
    unread: Vec<Arc<Subject>>,
    next: Option<Place>,
}

impl Metering {
    /// Reads the meters of a deployment.
    #[must_use]
    pub fn new(inside: Inside) -> Self {
        Self { live: inside.live, store: inside.store, keys: inside.keys }
    }

    /// The moment of the store, whose hours meters are kept by: to a process whose clock is wrong, hours that hold a bill would not have begun, or not be kept
    /// any more.
    async fn now(&self) -> Result<Micros, StoreError> {
        look::moment(self.store.as_ref(), &self.keys).await
    }

    fn tenant(&self, tenant: &Tenant) -> Subject {
        let (name, uid) = (Some(tenant.name.to_string()), Some(tenant.uid.clone()));
        Subject { name, uid, account: self.keys.account(&tenant.uid), is_apart: tenant.store.is_some() }
    }

    /// A tenant that is no more, or not known by its name.
    fn uid(&self, uid: TenantUid) -> Subject {
        Subject { name: None, account: self.keys.account(&uid), uid: Some(uid), is_apart: false }
    }

    fn unresolved(&self) -> Subject {
        Subject { name: Some(UNRESOLVED.to_owned()), uid: None, account: self.keys.platform(), is_apart: false }
    }

    /// Everybody of a snapshot, sorted.
    fn everybody(&self, snapshot: &Snapshot) -> Vec<Subject> {
        let mut all: Vec<Subject> = snapshot.tenants().map(|tenant| self.tenant(tenant)).collect();
        all.push(self.unresolved());
        all.sort_by(|one, other| one.word().cmp(other.word()));
        all
    }

    /// Reads a page: whole hours of tenants, from a place on, until it holds enough lines or has taken enough work. A tenant whose own store does not answer
    /// is named, and the others are read (S12).
    ///
    /// # Errors
    /// When the platform's store does not answer, or the own one of the only tenant that was asked for.
    pub async fn page(&self, subjects: Vec<Subject>, hours: Hours, from: Option<&Place>, lines: usize) -> Result<Page, StoreError> {
        let until = Instant::now() + PAGE_TIME;
        let mut page = Page::default();
        let mut reads = 0;
        let first = from.map_or("", |place| place.word.as_str());
        let alone = subjects.len() == 1;
        for subject in subjects.into_iter().skip_while(|subject| subject.word() < first) {
            let subject = Arc::new(subject);
            let within = from.filter(|place| place.word == subject.word()).map_or(hours, |place| hours.from(place.hour));
            for hour in within.iter() {
                if page.entries.len() >= lines || reads >= PAGE_READS || (reads > 0 && Instant::now() >= until) {
                    page.next = Some(Place { word: subject.word().to_owned(), hour });
                    return Ok(page);
                }
                reads += 1;
                match self.store.ledger().metered(&subject.account, hour).await {
                    Ok(metered) => page.add(&subject, hour, metered),
                    Err(error) if alone || !subject.is_apart => return Err(error),
                    Err(_) => {
                        page.unread.push(Arc::clone(&subject));
                        break;
                    }
                }
            }
        }
        Ok(page)
    }
}

impl Page {
    fn add(&mut self, subject: &Arc<Subject>, hour: Hour, metered: Vec<Metered>) {
        let from = self.entries.len();
        for Metered { line, admitted, denied } in metered {
            match Line::read(&line) {
                Some(line) => self.entries.push(Entry { subject: Arc::clone(subject), line, hour, admitted, denied }),
                None => self.unreadable += 1,
            }
        }
        if let Some(added) = self.entries.get_mut(from..) {
            added.sort_by(|one, other| one.line.cmp(&other.line));
        }
    }
}
