//! A calendar quota: so many requests in each hour, day, week or month of a calendar.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use bulkhead_tenancy::calendar::{Calendar, Period};

use super::EXACT;

/// A quota whose periods a calendar makes.
#[derive(Debug, Clone)]
pub struct CalendarQuota {
    limit: u64,
    calendar: Calendar,
    /// The last period that was asked for, and the one after it: asking a calendar takes a microsecond, and a period lasts an hour or longer.
    last: Arc<ArcSwapOption<[Period; 2]>>,
}

impl CalendarQuota {
    /// `limit` requests in each period. A limit of 0 denies everything.
    #[must_use]
    pub fn new(limit: u64, calendar: Calendar) -> Self {
        Self { limit: limit.min(EXACT.unsigned_abs() - 1), calendar, last: Arc::default() }
    }

    /// Requests in one period.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What makes its periods.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    pub(super) fn with_limit(&self, limit: u64) -> Self {
        Self { limit, ..self.clone() }
    }

    /// The period that a moment is in, and the next.
    #[must_use]
    pub fn periods_at(&self, now_us: u64) -> [Period; 2] {
        let within = |[first, _]: &[Period; 2]| (first.start_us..first.end_us).contains(&now_us);
        if let Some(known) = self.last.load().as_deref().filter(|known| within(known)) {
            return *known;
        }
        let first = self.calendar.period_at(now_us);
        let both = [first, self.calendar.period_at(first.end_us)];
        self.last.store(Some(Arc::new(both)));
        both
    }

    /// The period that a moment is in.
    #[must_use]
    pub fn period_at(&self, now_us: u64) -> Period {
        let [first, _] = self.periods_at(now_us);
        first
    }
}

impl PartialEq for CalendarQuota {
    fn eq(&self, other: &Self) -> bool {
        self.limit == other.limit && self.calendar == other.calendar
    }
}

impl Eq for CalendarQuota {}

impl Hash for CalendarQuota {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.limit.hash(state);
        self.calendar.hash(state);
    }
}
