//! What is known of a name, and for how long it holds.

use std::net::IpAddr;

use bulkhead_tenancy::address::forbidden;

/// For how many microseconds an answer holds; after that it is asked for again, and holds until there is another.
pub(super) const FRESH_US: u64 = 15_000_000;
/// For how many at most while no other comes: as long as Envoy keeps a host that nobody resolves.
pub(super) const STALE_US: u64 = 300_000_000;
/// Addresses of one name that Envoy is told within that time: it keeps a host and its connections for each, and their number is bounded for all tenants together (S4).
/// A name whose answers go on changing stays with the last of these, for as long as none of its answers is forbidden.
pub(super) const LATELY: usize = 4;
/// After how many a name that was not found is looked up again.
const AGAIN_US: u64 = 1_000_000;
/// Each time it is not found doubles that, so often at the most.
const DOUBLED: u32 = 3;

/// What is known of a name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// What was found last, and when.
    found: Option<(Found, u64)>,
    /// What Envoy was told lately, and until when at the least: the newest first.
    lately: [Option<(IpAddr, u64)>; LATELY],
    /// When it was looked up last, found or not.
    pub(super) tried: Option<u64>,
    /// How often in a row it was not found.
    missed: u32,
}

/// The addresses of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The one to connect to.
    pub(super) address: IpAddr,
    /// Why no tenant may point at one of them.
    pub(super) forbidden: Option<&'static str>,
}

impl Known {
    /// What a lookup found; nothing if there are no addresses.
    pub(super) fn learn(&mut self, addresses: &[IpAddr], now: u64) {
        self.tried = Some(now);
        self.missed = self.missed.saturating_add(1);
        let Some(mut found) = Found::of(addresses) else { return };
        self.missed = 0;
        let lately = |address| self.lately.iter().flatten().any(|(known, at)| *known == address && now.abs_diff(*at) < STALE_US);
        let room = self.lately.iter().any(|known| known.is_none_or(|(_, at)| now.abs_diff(at) >= STALE_US));
        if !lately(found.address) && !room {
            let known = addresses.iter().copied().find(|address| lately(*address)).or(self.lately[0].map(|(address, _)| address));
            found.address = known.unwrap_or(found.address);
            // It may be of another answer than the one that was judged.
            found.forbidden = found.forbidden.or_else(|| forbidden(found.address));
        }
        // What is forbidden is told to nobody but whom the operator sent there.
        if found.forbidden.is_none() {
            self.tell(found.address, now);
        }
        self.found = Some((found, now));
    }

    /// Remembers what Envoy is told, in the place of the same or of the oldest.
    fn tell(&mut self, address: IpAddr, now: u64) {
        let is_it = |known: &Option<(IpAddr, u64)>| known.is_some_and(|(known, _)| known == address);
        let place = self.lately.iter().position(is_it).unwrap_or(LATELY - 1);
        self.lately[..=place].rotate_right(1);
        self.lately[0] = Some((address, now));
    }

    /// Whether it is time to look again.
    /// A clock that is set back makes nothing younger.
    pub(super) fn is_due(self, now: u64) -> bool {
        let fresh = self.found.is_some_and(|(_, at)| now.abs_diff(at) < FRESH_US);
        let again = AGAIN_US << self.missed.saturating_sub(1).min(DOUBLED);
        let tried = self.tried.is_some_and(|at| now.abs_diff(at) < again);
        !fresh && !tried
    }

    /// What can be believed now.
    pub(super) fn usable(self, now: u64) -> Option<Found> {
        self.found.filter(|(_, at)| now.abs_diff(*at) < STALE_US).map(|(found, _)| found)
    }
}

impl Found {
    /// IPv4 goes first, as everywhere here. One address that is forbidden spoils the name: nothing that leads here in part is an upstream.
    fn of(addresses: &[IpAddr]) -> Option<Self> {
        let address = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first())?;
        Some(Self { address: *address, forbidden: addresses.iter().find_map(|address| forbidden(*address)) })
    }
}
