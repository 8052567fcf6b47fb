//! The headers of a request, from whichever of Envoy's two forms carries them.

use bulkhead_proto::pb::envoy::{config::core::v3::HeaderMap, service::auth::v3::attribute_context::HttpRequest};

/// Headers by which some servers take one method for another.
const METHOD_OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Every header as Envoy shows it: names in lower case, values as bytes, duplicates kept, pseudo headers among them.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// With `encode_raw_headers` Envoy fills `header_map` with raw values; without it (Istio, Envoy Gateway) the map `headers`, equal
    /// names joined by commas. Both are read, so a header can hide in neither.
    pub(super) fn of(http: &mut HttpRequest) -> Self {
        let listed = http.header_map.take().unwrap_or_default().headers.into_iter().map(|header| {
            let value = if header.raw_value.is_empty() { header.value.into_bytes() } else { header.raw_value };
            (lower(header.key), value)
        });
        let mapped = std::mem::take(&mut http.headers).into_iter().map(|(name, value)| (lower(name), value.into_bytes()));
        Self(listed.chain(mapped).collect())
    }

    /// The headers of a message of ext_proc.
    pub(crate) fn listed(map: &HeaderMap) -> Self {
        Self(listed(map).collect())
    }

    /// Every value of a header, in the order of arrival. The name is given in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_slice())
    }

    /// Every name, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
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

fn listed(map: &HeaderMap) -> impl Iterator<Item = (String, Vec<u8>)> {
    map.headers.iter().map(|header| {
        let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        (header.key.to_ascii_lowercase(), value.to_vec())
    })
}

/// The name in lower case. Envoy shows names so already, and nothing is copied.
fn lower(mut name: String) -> String {
    name.make_ascii_lowercase();
    name
}

/// Whether some server behind us may understand a header's name as `ours`: CGI and its descendants take `_` for `-` (S8).
pub(crate) fn understood_as(name: &str, ours: &str) -> bool {
    name.len() == ours.len() && understood_below(name, ours)
}

/// Whether such a name begins with `prefix`.
pub(crate) fn understood_below(name: &str, prefix: &str) -> bool {
    let understood = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() >= prefix.len() && name.bytes().map(understood).zip(prefix.bytes()).all(|(one, other)| one == other)
}
