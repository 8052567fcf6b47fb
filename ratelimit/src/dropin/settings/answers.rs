//! What the answers hold and how hits are counted.

use std::time::Duration;

use super::variables::Variables;

/// What goes into answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// LIMIT_RESPONSE_HEADERS_ENABLED: the answer's own headers, with their names.
    pub headers: Option<HeaderNames>,
    /// RESPONSE_DYNAMIC_METADATA: the answer tells which descriptors and rules it met.
    pub dynamic_metadata: bool,
    /// SHADOW_MODE: the overall answer is always OK.
    pub shadow_mode: bool,
}

/// LIMIT_LIMIT_HEADER, LIMIT_REMAINING_HEADER and LIMIT_RESET_HEADER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderNames {
    /// Holds the limit.
    pub limit: String,
    /// Holds what is left.
    pub remaining: String,
    /// Holds the seconds to the window's end.
    pub reset: String,
}

/// How hits are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Counting {
    /// NEAR_LIMIT_RATIO: beyond this part of a limit a hit counts as near.
    pub near_limit_ratio: f64,
    /// LOCAL_CACHE_SIZE_IN_BYTES: memory for counters known to be over; 0 is none.
    pub local_cache_bytes: usize,
    /// EXPIRATION_JITTER_MAX_SECONDS; without effect ([`super::WITHOUT_EFFECT`] says why).
    pub expiration_jitter: Duration,
    /// CACHE_KEY_PREFIX: before every key of the store.
    pub key_prefix: String,
    /// STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT: what is over is not counted on (one atomic step here).
    pub stop_when_over: bool,
}

impl Answers {
    pub(super) fn read(from: &mut Variables) -> Self {
        let enabled = from.boolean("LIMIT_RESPONSE_HEADERS_ENABLED", false);
        let names = HeaderNames {
            limit: header(from, "LIMIT_LIMIT_HEADER", "RateLimit-Limit"),
            remaining: header(from, "LIMIT_REMAINING_HEADER", "RateLimit-Remaining"),
            reset: header(from, "LIMIT_RESET_HEADER", "RateLimit-Reset"),
        };
        Self {
            headers: enabled.then_some(names),
            dynamic_metadata: from.boolean("RESPONSE_DYNAMIC_METADATA", false),
            shadow_mode: from.boolean("SHADOW_MODE", false),
        }
    }
}

impl Counting {
    pub(super) fn read(from: &mut Variables) -> Self {
        Self {
            near_limit_ratio: from.ratio("NEAR_LIMIT_RATIO", 0.8),
            local_cache_bytes: usize::try_from(from.count("LOCAL_CACHE_SIZE_IN_BYTES", 0)).unwrap_or(usize::MAX),
            expiration_jitter: Duration::from_secs(from.count("EXPIRATION_JITTER_MAX_SECONDS", 300)),
            key_prefix: from.text("CACHE_KEY_PREFIX", ""),
            stop_when_over: from.boolean("STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", false),
        }
    }
}

/// A header's name: Envoy would drop the whole answer for one that is none.
fn header(from: &mut Variables, name: &'static str, default: &str) -> String {
    from.parsed(name, default.to_owned(), |text| {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !text.is_empty() && text.bytes().all(token) { Ok(text.to_owned()) } else { Err("must be a header's name".to_owned()) }
    })
}
