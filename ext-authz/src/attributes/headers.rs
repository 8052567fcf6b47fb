//! The headers of a request, from whichever of Envoy's two forms carries them.

use std::borrow::Cow;

use bulkhead_proto::pb::envoy::config::core::v3::HeaderMap;

/// Headers by which some servers take one method for another.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Envoy's own bound on a request's headers is 100 by default; ten times that is no request that we have to understand.
pub(super) const MAX_HEADERS: usize = 1000;

/// Room for those of most requests.
const ROOM: usize = 24;

/// Every header as Envoy shows it: names in lower case, values as bytes, duplicates kept, pseudo headers among them. Of a request that has too many, one more
/// than it may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers<'b>(Vec<(Cow<'b, str>, Cow<'b, [u8]>)>);

/// The map `headers`: without `encode_raw_headers` (Istio, Envoy Gateway) Envoy fills it, equal names joined by commas. Of equal keys the last one counts.
#[derive(Debug, Default)]
pub(super) struct Mapped<'b> {
    entries: Vec<(&'b str, &'b str)>,
    /// It has more than a request may have, whatever follows.
    crowded: bool,
}

impl<'b> Mapped<'b> {
    pub(super) fn insert(&mut self, name: &'b str, value: &'b str) {
        if self.entries.len() > 2 * MAX_HEADERS && !self.crowded {
            self.settle();
            self.crowded = self.entries.len() > MAX_HEADERS;
        }
        if !self.crowded {
            self.entries.push((name, value));
        }
    }

    /// Leaves out what was said again later.
    fn settle(&mut self) {
        self.entries.sort_by_key(|(name, _)| *name);
        self.entries.dedup_by(|later, earlier| {
            let again = later.0 == earlier.0;
            if again {
                earlier.1 = later.1;
            }
            again
        });
    }
}

impl<'b> Headers<'b> {
    /// Adds one.
    pub(super) fn push(&mut self, name: &'b str, value: &'b [u8]) {
        if self.0.capacity() == 0 {
            self.0.reserve_exact(ROOM);
        }
        if self.0.len() <= MAX_HEADERS {
            self.0.push((lower(name), Cow::Borrowed(value)));
        }
    }

    /// With those of the other form: both are read, so a header can hide in neither.
    pub(super) fn and(mut self, mut mapped: Mapped<'b>) -> Self {
        mapped.settle();
        mapped.entries.iter().for_each(|(name, value)| self.push(name, value.as_bytes()));
        self
    }

    /// The headers of a message of ext_proc.
    pub(crate) fn listed(map: &HeaderMap) -> Headers<'static> {
        Headers(listed(map).collect())
    }

    /// Every value of a header, in the order of arrival. The name is given in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(own, _)| *own == name).map(|(_, value)| &**value)
    }

    /// Every name, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// The names by which some servers take the request for one of another method than Envoy and we see, as they are spelled (S6).
    pub fn overriding_the_method(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| METHOD_OVERRIDES.iter().any(|known| understood_as(name, known)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn listed(map: &HeaderMap) -> impl Iterator<Item = (Cow<'static, str>, Cow<'static, [u8]>)> {
    map.headers.iter().map(|header| {
        let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        (Cow::Owned(header.key.to_ascii_lowercase()), Cow::Owned(value.to_vec()))
    })
}

/// The name in lower case. Envoy shows names so already, and nothing is copied.
fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) }
}

/// Whether some server behind us may understand a header's name as `ours`: CGI and its descendants make one sign of `-` and `_`, and PHP of `.` too (S8).
pub(crate) fn understood_as(name: &str, ours: &str) -> bool {
    name.len() == ours.len() && understood_below(name, ours)
}

/// Whether such a name begins with `prefix`.
pub(crate) fn understood_below(name: &str, prefix: &str) -> bool {
    let understood = |byte: u8| if matches!(byte, b'_' | b'.') { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= prefix.len() && name.bytes().map(understood).zip(prefix.bytes()).all(|(one, other)| one == other)
}
