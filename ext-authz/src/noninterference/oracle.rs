//! Where the victim's answer may differ from the one that it has alone. It never may where its credentials verify.
//!
//! - **At its name** (S5): whoever fails at the name that a request addresses fills that name's count. A request that fails there, 401, may be
//!   answered 429 in its place; and, since a full name is answered before the bucket of strangers is charged, the other way round.
//! - **Among strangers** (S5): what proves nobody at all shares one bucket of the platform's. Its 401 may be a 429 likewise.
//! - **At its issuer** (S18): whoever brings tokens that name the victim's issuer has its provider asked, and a moment later nobody knows
//!   whether an unknown `kid` is new: 503 in place of 401.
//!
//! The first two hold only once so many failed within a minute: both buckets are kept here as full as they can possibly be.

use std::collections::HashMap;

use bulkhead_tenancy::limit::MINUTE_US;

use super::{
    VICTIM,
    events::{Ask, Deed, Event},
    resources::NAME_A_MINUTE,
    world::Answer,
};

/// A bucket that everything fills that might.
#[derive(Default, Clone, Copy)]
struct Fullest {
    until: u64,
}

impl Fullest {
    /// Counts one, and says whether it may have found the bucket full.
    fn counts(&mut self, a_minute: u64, now: u64) -> bool {
        let step = MINUTE_US / a_minute;
        let fill = self.until.saturating_sub(now);
        self.until = now + fill.min(MINUTE_US) + step;
        // A step for what is rounded.
        fill + 2 * step > MINUTE_US
    }
}

/// How one answer may differ.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lenient {
    /// A failure may be a 429.
    too_many: bool,
    /// A failure may be a 503.
    unchecked: bool,
}

impl Lenient {
    pub(super) fn allows(self, alone: &Answer, among: &Answer) -> bool {
        [alone, among].into_iter().all(|answer| match answer.verdict.as_str() {
            "no_credentials" | "invalid_token" | "wrong_tenant" => self.too_many || self.unchecked,
            "too_many_failures" => self.too_many,
            "unavailable" => self.unchecked,
            _ => false,
        })
    }
}

pub(super) struct Oracle {
    strangers_a_minute: u64,
    now: u64,
    names: HashMap<&'static str, Fullest>,
    strangers: Fullest,
    /// Whether another asked with a token that names the victim's issuer.
    looked_up: bool,
}

impl Oracle {
    pub(super) fn new(strangers_a_minute: u64) -> Self {
        Self { strangers_a_minute, now: 0, names: HashMap::new(), strangers: Fullest::default(), looked_up: false }
    }

    /// Takes an event in, and says how its answer may differ.
    pub(super) fn sees(&mut self, event: &Event) -> Lenient {
        match event {
            Event::Time(seconds) => self.now += seconds * 1_000_000,
            Event::Turns(_) => self.now += super::world::TURN_S * 1_000_000,
            Event::Asks(ask) => return self.asks(ask),
            Event::Other(Deed::Asks(asks)) => {
                for ask in asks {
                    self.looked_up |= ask.of == VICTIM;
                    self.asks(ask);
                }
            }
            Event::Writes(..) | Event::Other(_) => {}
        }
        Lenient::default()
    }

    fn asks(&mut self, ask: &Ask) -> Lenient {
        let at_name = self.names.entry(ask.at).or_default().counts(NAME_A_MINUTE, self.now);
        let among_strangers = self.strangers.counts(self.strangers_a_minute, self.now);
        Lenient { too_many: at_name || among_strangers, unchecked: self.looked_up && ask.of == VICTIM }
    }
}
