//! The line of a meter, read back: which subscription, which API.

use bulkhead_tenancy::name::{ApiName, SubscriptionName};

/// What [`Keyspace::meter`](crate::key::Keyspace::meter) wrote: each name with its length before it, nothing where none is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The subscription, if one was named.
    pub subscription: Option<SubscriptionName>,
    /// The API, if one was named.
    pub api: Option<ApiName>,
}

impl Line {
    /// Reads a line; none if it is none of ours.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let (subscription, rest) = name(line)?;
        let (api, rest) = name(rest.strip_prefix(':')?)?;
        if !rest.is_empty() {
            return None;
        }
        Some(Self { subscription: named(subscription)?, api: named(api)? })
    }
}

/// A name behind its length, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let (length, rest) = text.split_once(':')?;
    let written = length == "0" || (length.bytes().all(|byte| byte.is_ascii_digit()) && !length.starts_with('0'));
    let length: usize = length.parse().ok().filter(|_| written)?;
    rest.split_at_checked(length)
}

fn named<N: std::str::FromStr>(text: &str) -> Option<Option<N>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::Keyspace;

    proptest! {
        #[test]
        fn every_line_is_read_back(
            subscription in proptest::option::of("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),
            api in proptest::option::of("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),
        ) {
            let line = Line { subscription: subscription.map(|name| name.parse().unwrap()), api: api.map(|name| name.parse().unwrap()) };
            let meter = Keyspace::default().meter(&"u".parse().unwrap(), line.subscription.as_ref(), line.api.as_ref());
            prop_assert_eq!(Line::read(meter.line()), Some(line));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text in "[0-9:a-z-]{0,24}|\\PC{0,24}") {
            if let Some(line) = Line::read(&text) {
                let meter = Keyspace::default().meter(&"u".parse().unwrap(), line.subscription.as_ref(), line.api.as_ref());
                prop_assert_eq!(meter.line(), text);
            }
        }
    }

    #[test]
    fn a_foreign_line_is_none() {
        for line in
            ["", ":", "0:", "0::0", "0::0:x", "00::0:", "+1:a:0:", "1:a:1:", "1:a:2:b", "1:A:0:", "99999999999999999999:a:0:", "1:é:0:"]
        {
            assert_eq!(Line::read(line), None, "{line}");
        }
    }
}
