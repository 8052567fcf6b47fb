//! Why a request is not let in: what the caller is told, and what the operator.

use std::borrow::Cow;

use bulkhead_content::Unscannable;

/// Why a request is denied: the names that problem bodies (`urn:bulkhead:<reason>`), metadata, logs and tests use (SEMANTICS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "`name` and `status` say it, and SEMANTICS lists them")]
pub enum Reason {
    BadPath,
    TooManyFailures,
    NoCredentials,
    InvalidToken,
    WrongTenant,
    Suspended,
    UnknownApi,
    Method,
    Subscription,
    Role,
    Rule,
    Tool,
    Topic,
    Pii,
    TooLarge,
    Unreadable,
    Unavailable,
    Loop,
    OverLimit,
}

impl Reason {
    /// The name in problem bodies, metadata and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadPath => "bad_path",
            Self::TooManyFailures => "too_many_failures",
            Self::NoCredentials => "no_credentials",
            Self::InvalidToken => "invalid_token",
            Self::WrongTenant => "wrong_tenant",
            Self::Suspended => "suspended",
            Self::UnknownApi => "unknown_api",
            Self::Method => "method",
            Self::Subscription => "subscription",
            Self::Role => "role",
            Self::Rule => "rule",
            Self::Tool => "tool",
            Self::Topic => "topic",
            Self::Pii => "pii",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Unavailable => "unavailable",
            Self::Loop => "loop",
            Self::OverLimit => "over_limit",
        }
    }

    /// The HTTP status of the answer, where a denial has no other.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadPath | Self::Unreadable => 400,
            Self::NoCredentials | Self::InvalidToken | Self::WrongTenant => 401,
            Self::Suspended | Self::Subscription | Self::Role | Self::Rule | Self::Tool | Self::Topic | Self::Pii => 403,
            Self::UnknownApi => 404,
            Self::Method => 405,
            Self::TooLarge => 413,
            Self::TooManyFailures | Self::OverLimit => 429,
            Self::Unavailable => 503,
            Self::Loop => 508,
        }
    }
}

/// A denial: what the caller sees is the reason alone; what the operator sees is the detail, in logs and audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What the caller is told.
    pub reason: Reason,
    /// With which HTTP status: the reason's own, or another where the table of answers has two.
    pub status: u16,
    /// What the operator is told. It holds no token, key, body or personal data.
    pub detail: Cow<'static, str>,
    /// `Allow` of a 405.
    pub allow: Vec<String>,
    /// Seconds until it is worth trying again, of a 429 or 503.
    pub retry_after: Option<u64>,
}

impl Denial {
    /// A denial with a detail for the operator.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, status: reason.status(), detail: detail.into(), allow: Vec::new(), retry_after: None }
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

impl From<Unscannable> for Denial {
    /// What could have been read, had there been more time or memory, is no fault of the body's.
    fn from(why: Unscannable) -> Self {
        match why {
            Unscannable::TooLarge => Self::new(Reason::TooLarge, why.to_string()),
            _ if why.is_ours() => Self { retry_after: Some(1), ..Self::new(Reason::Unavailable, why.to_string()) },
            _ => Self::new(Reason::Unreadable, why.to_string()),
        }
    }
}
