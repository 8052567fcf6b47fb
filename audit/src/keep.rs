//! Records as an API's `audit` asks for them: whether one is made at all, and whether somebody waits for it. One answer for every service and
//! for every kind of record.

use std::{sync::Arc, time::Duration};

use bulkhead_tenancy::{api::Audit as Asked, tenant::Tenant};
use tokio::{runtime::Handle, time::Instant};

use crate::{
    audit::{Audit, Receipt, Stream},
    record::Record,
    refused::Refused,
};

/// What a record is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Whose it is; none: nobody's, as far as is proven.
    pub tenant: Option<&'a Arc<Tenant>>,
    /// The decision's id.
    pub id: &'a str,
    /// What denies in it, or would have: what is recorded also where only denials are. None: it is recorded under `full` alone.
    pub denied: Option<&'static str>,
}

/// Whether something is on record.
#[derive(Debug)]
#[must_use = "nothing may be answered before it is on record"]
pub enum Kept {
    /// It may be answered now.
    Now,
    /// Once its record is there (`audit: full`).
    Once(Receipt),
    /// Never: there is no record of it.
    Never(Refused),
}

impl Kept {
    /// Waits for the record, but no longer than until a moment.
    ///
    /// # Errors
    /// There is none, and nothing must be answered.
    pub async fn until(self, moment: Instant) -> Result<(), Refused> {
        match self {
            Self::Now => Ok(()),
            Self::Once(receipt) => receipt.until(moment).await,
            Self::Never(refused) => Err(refused),
        }
    }

    /// Lets the record come to be though nobody waits for it: it is of something that has happened. A receipt that is dropped takes its record with it, as that of
    /// an answer that was not given. Outside of a runtime it is best effort.
    pub fn unawaited(self, within: Duration) {
        if let (Self::Once(receipt), Ok(runtime)) = (self, Handle::try_current()) {
            runtime.spawn(receipt.until(Instant::now() + within));
        }
    }
}

impl Audit {
    /// Puts a record where `asked` wants it. `stream` and `record` are made only where one is.
    pub fn keep(&self, asked: Asked, about: About<'_>, stream: impl FnOnce() -> Option<Stream>, record: impl FnOnce() -> Record) -> Kept {
        let About { tenant, id, denied } = about;
        match (asked, denied) {
            (Asked::None, _) | (Asked::Denied, None) => Kept::Now,
            (Asked::Denied, Some(verdict)) => {
                if let Some(stream) = stream() {
                    self.denied(&stream, tenant, id, verdict, record);
                }
                Kept::Now
            }
            (Asked::Full, _) => {
                let Some(stream) = stream() else { return Kept::Never(Refused::Nowhere) };
                self.must(&stream, tenant, record()).map_or_else(Kept::Never, Kept::Once)
            }
        }
    }

    /// Takes note of what was answered in place of something that had to be on record and is not. A record that may stand all the same is not
    /// what was answered: the one after it says that.
    pub fn unkept(&self, refused: &Refused, about: About<'_>, stream: impl FnOnce() -> Option<Stream>, record: impl FnOnce() -> Record) {
        let About { tenant, id, denied } = about;
        if *refused == Refused::Late {
            self.count_late(tenant.map(Arc::as_ref));
        }
        if refused.may_stand()
            && let (Some(stream), Some(verdict)) = (stream(), denied)
        {
            self.denied(&stream, tenant, id, verdict, record);
        }
    }
}
