//! Names of things: RFC 1123 labels with a type for each kind of thing, so that a tenant's name can never stand where a plan's belongs.
//!
//! A name that exists has been checked (S21). Names are shared, not copied: a clone is a reference count.

use std::{fmt, str::FromStr, sync::Arc};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more bytes than a label of this kind may have.
    #[error("must have at most {max} bytes, not {len}")]
    TooLong {
        /// How many bytes this kind of name may have.
        max: usize,
        /// How many the text has.
        len: usize,
    },
    /// A character outside `a-z`, `0-9` and `-`, or a hyphen first or last.
    #[error("must be lower-case letters, digits and inner hyphens (RFC 1123 label)")]
    NotALabel,
    /// A character that no uid has.
    #[error("must be letters, digits, `-`, `.` and `_`")]
    NotAUid,
    /// A character that no tool's name in MCP has.
    #[error("must be letters, digits, `_`, `-`, `.` and `/`")]
    NotInMcp,
    /// The word means something else on our path and may not be a tenant (S21).
    #[error("is a reserved word")]
    Reserved,
}

/// Words that no tenant may have as its name: they are, or may become, path segments and host labels of the platform itself (S21).
const RESERVED: [&str; 12] =
    ["admin", "api", "bulkhead", "default", "health", "healthz", "metrics", "none", "platform", "readyz", "system", "unresolved"];

fn label(text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong { max, len: text.len() });
    }
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !inner || text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::NotALabel);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $max:literal $(, $check:expr)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                label(text, $max)?;
                $( $check(text)?; )?
                Ok(Self(Arc::from(text)))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

fn not_reserved(text: &str) -> Result<(), NameError> {
    if RESERVED.contains(&text) { Err(NameError::Reserved) } else { Ok(()) }
}

name!(
    /// A tenant: at most 56 bytes, so that `tenant-<name>` is still a Kubernetes namespace; not a reserved word (S21).
    TenantName, 56, not_reserved
);
name!(
    /// A configuration partition (standalone) or a Kubernetes namespace. Each belongs to one tenant.
    Namespace, 63
);
name!(
    /// A resource whose name names nothing else: a contract, a guardrail policy, the platform.
    ResourceName, 63
);
name!(
    /// An API of a contract.
    ApiName, 63
);
name!(
    /// A subscription of a tenant.
    SubscriptionName, 63
);
name!(
    /// A plan of the platform.
    PlanName, 63
);
name!(
    /// An MCP tool of a tenant's registry: the resource's name. What its server calls it is a [`WireName`].
    ToolName, 63
);
name!(
    /// A set of tools of a tenant.
    ToolSetName, 63
);
name!(
    /// A region that audit streams live in.
    Region, 63
);

impl Default for Region {
    /// The region of a tenant that names none.
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl TenantName {
    /// The namespace of a tenant that names none: `tenant-<name>`.
    #[must_use]
    pub fn default_namespace(&self) -> Namespace {
        // 56 + 7 bytes: always a label of at most 63.
        Namespace(Arc::from(format!("tenant-{}", self.0)))
    }
}

/// What never changes about a tenant and is never used again (S23): it stands in the keys of the store, caches, audit and metering, so a tenant
/// that is deleted and created anew under its old name inherits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantUid(Arc<str>);

impl TenantUid {
    /// The uid as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The uid of a tenant in files that writes none: derived from its name, so a tenant made anew under an old name does inherit
    /// its counters (`validate` warns).
    #[must_use]
    pub fn of_name(name: &TenantName) -> Self {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(format!("bulkhead tenant {name}"));
        Self(Arc::from(format!("name-{}", hex::encode(&digest[..12]))))
    }
}

impl FromStr for TenantUid {
    type Err = NameError;

    /// A uid is 1 to 64 letters, digits, hyphens, dots or underscores (a ULID, a UUID, Kubernetes' `metadata.uid`).
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 64 {
            return Err(NameError::TooLong { max: 64, len: text.len() });
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if text.bytes().all(fine) { Ok(Self(Arc::from(text))) } else { Err(NameError::NotAUid) }
    }
}

impl fmt::Display for TenantUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an MCP server calls a tool: `params.name` of `tools/call`. 1 to 128 characters (MCP 2025-11-25, "Tool Names", with the `/` of its
/// drafts), case counts. None is a space: in the metadata, names stand in one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WireName(Arc<str>);

impl WireName {
    /// The longest, in bytes.
    const MAX: usize = 128;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WireName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX {
            return Err(NameError::TooLong { max: Self::MAX, len: text.len() });
        }
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
        if text.bytes().all(fine) { Ok(Self(Arc::from(text))) } else { Err(NameError::NotInMcp) }
    }
}

impl From<&ToolName> for WireName {
    /// A tool whose server calls it by the resource's own name: a label is always fine.
    fn from(name: &ToolName) -> Self {
        Self(Arc::clone(&name.0))
    }
}

impl fmt::Display for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for WireName {
    fn borrow(&self) -> &str {
        &self.0
    }
}
