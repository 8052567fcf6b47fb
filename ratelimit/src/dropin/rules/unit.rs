//! The units that limits are counted in.

use std::fmt;

/// A unit of envoyproxy/ratelimit. Each is a fixed number of seconds, and its windows are aligned to the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// 1 second.
    Second,
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
    /// 7 days.
    Week,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 7] = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The unit of a configuration's word, in upper or lower case. `unknown` is none.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name().eq_ignore_ascii_case(word))
    }

    /// The unit of a number of Envoy's enums (`RateLimitUnit`, `RateLimitResponse.RateLimit.Unit`, `RateLimitPolicy.unit`, which agree).
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.number() == number)
    }

    /// The number in Envoy's enums.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::Second => 1,
            Self::Minute => 2,
            Self::Hour => 3,
            Self::Day => 4,
            Self::Month => 5,
            Self::Year => 6,
            Self::Week => 7,
        }
    }

    /// The length of a window, in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
            Self::Year => 365 * DAY,
        }
    }

    /// The name in Envoy's enums: `MINUTE`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "SECOND",
            Self::Minute => "MINUTE",
            Self::Hour => "HOUR",
            Self::Day => "DAY",
            Self::Week => "WEEK",
            Self::Month => "MONTH",
            Self::Year => "YEAR",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_proto::pb::{
        envoy::{service::ratelimit::v3::rate_limit_response::rate_limit::Unit as Answered, r#type::v3::RateLimitUnit},
        ratelimit::config::ratelimit::v3::RateLimitUnit as Configured,
    };

    use super::*;

    #[test]
    fn names_and_numbers_are_envoys() {
        for unit in Unit::ALL {
            assert_eq!(Answered::try_from(unit.number()).unwrap().as_str_name(), unit.name());
            assert_eq!(Configured::try_from(unit.number()).unwrap().as_str_name(), unit.name());
            // The enum of `descriptor.limit` has no week in envoy-types yet, which Envoy 1.40 does send: numbers are read as they come.
            if unit != Unit::Week {
                assert_eq!(RateLimitUnit::try_from(unit.number()).unwrap().as_str_name(), unit.name());
            }
            assert_eq!(Unit::from_number(unit.number()), Some(unit));
            assert_eq!(Unit::from_word(&unit.name().to_lowercase()), Some(unit));
        }
        assert_eq!(Unit::from_number(0), None);
        assert_eq!(Unit::from_word("unknown"), None);
    }
}
