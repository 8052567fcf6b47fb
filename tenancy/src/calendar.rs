//! Calendar periods: hours, days, weeks and months as a time zone counts them.
//!
//! A day begins at the first moment that shows its date or a later one: where midnight does not exist (clocks set forward over it) that is the
//! moment of the change, where it comes twice it is the first. Weeks and months begin with a day. So periods follow each other without gap or
//! overlap whatever a zone does: a day may have 23 or 25 hours, and a day that a zone skipped (Pacific/Apia, 30 December 2011) has no period.
//!
//! An hour is 60 minutes from full hour to full hour, so an hour that is shown twice is two. A change of the clock by no whole hour
//! (Australia/Lord_Howe) ends the hour, and a short one follows or is followed.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use jiff::{
    Span, Timestamp,
    civil::{Date, Time},
    tz::{AmbiguousOffset, Offset, TimeZone},
};

const HOUR_US: i64 = 3_600_000_000;
/// The Gregorian calendar repeats itself after 400 years, weekdays and rules of daylight saving included.
const CYCLE_US: u64 = 146_097 * 24 * 3_600_000_000;

/// A way to cut time into periods. Cheap to clone.
#[derive(Clone)]
pub struct Calendar(Arc<Inner>);

#[derive(PartialEq, Eq, Hash)]
struct Inner {
    per: Per,
    /// Of a week: 1 (Monday) to 7; of a month: 1 to 31; else 1.
    anchor_day: i8,
    zone: Zone,
}

/// A time zone, equal to another by its name: the database is one and the same for the whole process.
struct Zone {
    name: Box<str>,
    rules: TimeZone,
}

/// The length of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    /// From full hour to full hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the anchor day (default Monday) to the next one.
    Week,
    /// From the anchor day (default the first) to the next month's. In a shorter month it is that month's last day.
    Month,
}

/// One period: `start_us <= t < end_us`, microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Period {
    /// Its first microsecond; 0 where it began before 1970.
    pub start_us: u64,
    /// The first microsecond after it, and of the next period.
    pub end_us: u64,
}

/// Why there is no such calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// The zone's name stands in no database.
    #[error("must be a time zone of the IANA database: `Europe/Paris`")]
    UnknownZone,
    /// The period has no such day.
    #[error("must be a day of the period: 1 (Monday) to 7 of a week, 1 to 31 of a month")]
    NoSuchDay,
}

impl Per {
    /// The word for it in resources and keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The largest anchor day, where one has a meaning.
    #[must_use]
    pub const fn last_anchor_day(self) -> Option<u8> {
        match self {
            Self::Hour | Self::Day => None,
            Self::Week => Some(7),
            Self::Month => Some(31),
        }
    }
}

impl Calendar {
    /// A calendar in a time zone of the IANA database.
    ///
    /// # Errors
    /// When there is no such zone, or an anchor day has no meaning.
    pub fn new(per: Per, anchor_day: Option<u8>, zone: &str) -> Result<Self, CalendarError> {
        let anchor_day = match (anchor_day, per.last_anchor_day()) {
            (None, _) => 1,
            (Some(day), Some(last)) if (1..=last).contains(&day) => i8::try_from(day).unwrap_or(1),
            _ => return Err(CalendarError::NoSuchDay),
        };
        Ok(Self(Arc::new(Inner { per, anchor_day, zone: Zone::named(zone)? })))
    }

    /// The length of its periods.
    #[must_use]
    pub fn per(&self) -> Per {
        self.0.per
    }

    /// The period that a moment lies in, microseconds since 1970. It is defined for every moment; only the very last of all, `u64::MAX`,
    /// is the end of its period and not inside it.
    #[must_use]
    pub fn period_at(&self, now_us: u64) -> Period {
        // Past the first cycle all moments are treated as those of the second: what the calendar library knows ends with the year 9999.
        let shift = (now_us / CYCLE_US).saturating_sub(1) * CYCLE_US;
        let now = i64::try_from(now_us - shift).unwrap_or(i64::MAX);
        let (start, end) = match self.0.per {
            Per::Hour => self.0.zone.hour_at(now),
            Per::Day | Per::Week | Per::Month => self.0.days_at(now),
        };
        let shifted = |moment: i64| u64::try_from(moment).unwrap_or(0).saturating_add(shift);
        Period { start_us: shifted(start), end_us: shifted(end) }
    }
}

impl Inner {
    fn days_at(&self, now: i64) -> (i64, i64) {
        let mut date = self.first_date(self.zone.rules.to_datetime(moment(now)).date());
        // A date that is shown again after midnight, because the clock was set back over it, belongs to the day that has begun already.
        while self.zone.start_of(date) > now {
            date = self.first_date(date.saturating_sub(days(1)));
        }
        loop {
            let next = self.first_date_after(date);
            let (start, end) = (self.zone.start_of(date), self.zone.start_of(next));
            if now < end {
                return (start, end);
            }
            date = next;
        }
    }

    /// The first date of the period that a date belongs to.
    fn first_date(&self, date: Date) -> Date {
        match self.per {
            Per::Hour | Per::Day => date,
            Per::Week => date.saturating_sub(days((date.weekday().to_monday_one_offset() - self.anchor_day).rem_euclid(7))),
            Per::Month => {
                let own = self.anchored(date);
                if own <= date { own } else { self.anchored(date.first_of_month().saturating_sub(days(1))) }
            }
        }
    }

    /// The first date of the period after the one that begins with a date.
    fn first_date_after(&self, first: Date) -> Date {
        match self.per {
            Per::Hour | Per::Day => first.saturating_add(days(1)),
            Per::Week => first.saturating_add(days(7)),
            Per::Month => self.anchored(first.last_of_month().saturating_add(days(1))),
        }
    }

    /// The anchor day of a date's month.
    fn anchored(&self, date: Date) -> Date {
        date.first_of_month().saturating_add(days(self.anchor_day.min(date.days_in_month()) - 1))
    }
}

impl Zone {
    fn named(name: &str) -> Result<Self, CalendarError> {
        let rules = jiff::tz::db().get(name).map_err(|_| CalendarError::UnknownZone)?;
        // As the database writes it: names are found in any case.
        let name = rules.iana_name().unwrap_or(name).into();
        Ok(Self { name, rules })
    }

    /// The first moment that shows this date or a later one.
    fn start_of(&self, date: Date) -> i64 {
        let midnight = date.to_datetime(Time::midnight());
        let at = |offset: Offset| offset.to_timestamp(midnight).map_or(i64::MAX, Timestamp::as_microsecond);
        match self.rules.to_ambiguous_timestamp(midnight).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            AmbiguousOffset::Gap { before, after } => {
                let change = self.rules.following(moment(at(after))).next();
                change.map_or_else(|| at(before), |change| change.timestamp().as_microsecond())
            }
        }
    }

    fn hour_at(&self, now: i64) -> (i64, i64) {
        let minutes = |offset: Offset| (i64::from(offset.seconds()) * 1_000_000).rem_euclid(HOUR_US);
        let own = minutes(self.rules.to_offset(moment(now)));
        let start = now - (now + own).rem_euclid(HOUR_US);
        let end = start + HOUR_US;
        // What changes inside the hour ends it; a change by whole hours moves no minute.
        let next = self.rules.following(moment(now)).map(|change| (change.timestamp().as_microsecond(), minutes(change.offset())));
        let next = next.take_while(|(at, _)| *at < end).find(|(_, minutes)| *minutes != own);
        let last = self.rules.preceding(moment(now + 1)).map(|change| change.timestamp().as_microsecond());
        let last = last.take_while(|at| *at > start).find(|at| minutes(self.rules.to_offset(moment(at - 1))) != own);
        let (start, end) = (last.unwrap_or(start), next.map_or(end, |(at, _)| at));
        (start, end)
    }
}

fn moment(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or(if us < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn days(count: i8) -> Span {
    Span::new().days(count)
}

impl PartialEq for Calendar {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Calendar {}

impl Hash for Calendar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Display for Calendar {
    /// What it is, on one line, equal for equal calendars: `month/1/Europe/Berlin`, `day/UTC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { per, anchor_day, zone } = &*self.0;
        match per {
            Per::Hour | Per::Day => write!(f, "{}/{}", per.as_str(), zone.name),
            Per::Week | Per::Month => write!(f, "{}/{anchor_day}/{}", per.as_str(), zone.name),
        }
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({self})")
    }
}
