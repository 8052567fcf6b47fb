//! Hours as callers write them (RFC 3339) and as meters count them.

use jiff::Timestamp;

use crate::store::{Hour, METER_KEPT_MS, Micros};

/// The most hours that one call may ask for: a month and a day more.
pub const MOST: u64 = 32 * 24;

/// How many hours a meter keeps.
const KEPT: u64 = METER_KEPT_MS / 3_600_000;

/// Hours from one to before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u64,
    to: u64,
}

impl Hours {
    /// The hours of a query; absent ends are the last 24 hours, the one in progress among them.
    ///
    /// # Errors
    /// What is wrong with an end: no moment, not on the hour, no hour between them, too many, or hours that no meter keeps any more.
    pub fn read(from: Option<&str>, to: Option<&str>, now: Micros) -> Result<Self, String> {
        let current = Hour::of(now).0;
        let to = to.map_or(Ok(current + 1), |text| hour("to", text))?;
        let from = from.map_or(Ok(to.saturating_sub(24)), |text| hour("from", text))?;
        if from >= to {
            return Err("`from` must be before `to`".to_owned());
        }
        if to - from > MOST {
            return Err(format!("at most {MOST} hours may be asked for at once, not {}", to - from));
        }
        if from + KEPT < current {
            // An empty answer would be read as a bill of nothing.
            return Err(format!("meters are kept for {} days, and `from` is older", KEPT / 24));
        }
        Ok(Self { from, to })
    }

    pub(super) fn from(self, hour: Hour) -> Self {
        Self { from: self.from.max(hour.0), ..self }
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u64 {
        self.to - self.from
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Hour> {
        (self.from..self.to).map(Hour)
    }

    /// Both ends, as a query has them.
    pub(super) fn ends(self) -> (String, String) {
        (written(Hour(self.from)), written(Hour(self.to)))
    }
}

/// An hour by its beginning: `2026-11-22T05:00:00Z`.
#[must_use]
pub fn written(hour: Hour) -> String {
    moment(hour.0.saturating_mul(3_600_000_000))
}

/// A moment (microseconds since 1970) in RFC 3339; one past the year 9999 is the last of that.
#[must_use]
pub fn moment(us: u64) -> String {
    let moment = i64::try_from(us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    moment.unwrap_or(Timestamp::MAX).to_string()
}

fn hour(name: &str, text: &str) -> Result<u64, String> {
    let wrong = || format!("`{name}` must be a full hour in RFC 3339: 2026-11-22T05:00:00Z");
    let seconds = text.parse::<Timestamp>().ok().filter(|moment| moment.subsec_nanosecond() == 0).map(Timestamp::as_second);
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok()).ok_or_else(wrong)?;
    if seconds % 3_600 == 0 { Ok(seconds / 3_600) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(1_795_323_600_000_000 + 1_234_567);

    #[test]
    fn hours_are_read_in_any_offset_and_written_in_utc() {
        let read = |from, to| Hours::read(Some(from), Some(to), NOW);
        let hours = read("2026-11-22T05:00:00Z", "2026-11-22T09:00:00+02:00").unwrap();
        assert_eq!(hours.ends(), ("2026-11-22T05:00:00Z".to_owned(), "2026-11-22T07:00:00Z".to_owned()));
        assert_eq!(hours.iter().map(written).collect::<Vec<_>>(), ["2026-11-22T05:00:00Z", "2026-11-22T06:00:00Z"]);
    }

    #[test]
    fn without_ends_it_is_the_last_day() {
        let hours = Hours::read(None, None, NOW).unwrap();
        assert_eq!((hours.iter().count(), hours.iter().last()), (24, Some(Hour::of(NOW))));
    }

    #[test]
    fn what_is_no_span_of_hours_is_refused() {
        let now = written(Hour::of(NOW));
        let old = written(Hour(Hour::of(NOW).0 - KEPT - 1));
        for (from, to, says) in [
            ("yesterday", now.as_str(), "`from` must be a full hour"),
            ("2026-11-22T05:00:01Z", &now, "`from` must be a full hour"),
            ("2026-11-22T05:00:00.5Z", &now, "`from` must be a full hour"),
            ("1969-11-22T05:00:00Z", &now, "`from` must be a full hour"),
            (&now, "2026-11-22T05:30:00Z", "`to` must be a full hour"),
            (&now, &now, "before"),
            ("2026-10-01T00:00:00Z", "2026-11-30T00:00:00Z", "at most 768 hours"),
            (&old, &written(Hour(Hour::of(NOW).0 - KEPT)), "kept for 40 days"),
        ] {
            let error = Hours::read(Some(from), Some(to), NOW).unwrap_err();
            assert!(error.contains(says), "{from} {to}: {error}");
        }
    }

    #[test]
    fn a_moment_that_no_calendar_has_is_the_last() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert!(moment(u64::MAX).starts_with("9999-"));
    }
}
