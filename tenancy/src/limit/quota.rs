//! Quotas: so many requests in a period, beside the rates that refill continuously.

use std::fmt;

use crate::calendar::{Calendar, Per};

/// The most quotas that one plan or subscription states: each is one more counter that every request is checked against.
pub const MAX_QUOTAS: usize = 4;

/// So many requests in each window. What is left of one window is not carried into the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Quota {
    /// How many requests one window holds. Zero denies everything, as a rate of 0 does.
    pub requests: u64,
    /// The window.
    pub window: QuotaWindow,
}

/// What a quota counts over. Its text (`month/1/Europe/Berlin`, `sliding/3600`) names the quota's counter in the store: a quota whose
/// `requests` change keeps what was consumed, one whose window changes begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QuotaWindow {
    /// The calendar's periods: all of it is there again when the next one begins.
    Calendar(Calendar),
    /// Any span of this length, in microseconds: never more than `requests` in any of them.
    Sliding {
        /// Microseconds, at least 1.
        length_us: u64,
    },
}

impl Quota {
    /// Where the same window is stated twice, the smaller count holds.
    #[must_use]
    pub fn least(quotas: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut least: Vec<Self> = Vec::new();
        for quota in quotas {
            match least.iter_mut().find(|one| one.window == quota.window) {
                Some(one) => one.requests = one.requests.min(quota.requests),
                None => least.push(quota),
            }
        }
        least
    }
}

impl QuotaWindow {
    /// A span of so long: an hour is 3600 s, a day 24 h, a week 7 days, and a month, which no calendar measures here, 30 days.
    #[must_use]
    pub const fn sliding(per: Per) -> Self {
        const HOUR_US: u64 = 3_600_000_000;
        let hours = match per {
            Per::Hour => 1,
            Per::Day => 24,
            Per::Week => 24 * 7,
            Per::Month => 24 * 30,
        };
        Self::Sliding { length_us: hours * HOUR_US }
    }
}

impl fmt::Display for QuotaWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calendar(calendar) => calendar.fmt(f),
            Self::Sliding { length_us } if length_us % 1_000_000 == 0 => write!(f, "sliding/{}", length_us / 1_000_000),
            Self::Sliding { length_us } => write!(f, "sliding/{length_us}us"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daily(requests: u64) -> Quota {
        Quota { requests, window: QuotaWindow::Calendar(Calendar::new(Per::Day, None, "UTC").unwrap()) }
    }

    #[test]
    fn a_window_has_one_name_whatever_it_holds() {
        for (window, name) in [
            (daily(1).window, "day/UTC"),
            (daily(2).window, "day/UTC"),
            (QuotaWindow::sliding(Per::Hour), "sliding/3600"),
            (QuotaWindow::sliding(Per::Day), "sliding/86400"),
            (QuotaWindow::sliding(Per::Week), "sliding/604800"),
            (QuotaWindow::sliding(Per::Month), "sliding/2592000"),
            (QuotaWindow::Sliding { length_us: 1_500_000 }, "sliding/1500000us"),
        ] {
            assert_eq!(window.to_string(), name);
        }
    }

    #[test]
    fn of_two_quotas_over_one_window_the_smaller_holds() {
        let sliding = Quota { requests: 7, window: QuotaWindow::sliding(Per::Day) };
        assert_eq!(Quota::least([daily(5), sliding.clone(), daily(3), daily(4)]), [daily(3), sliding]);
    }
}
