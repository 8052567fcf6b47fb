//! LOG_LEVEL and LOG_FORMAT.

use super::variables::Variables;

/// How to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// LOG_LEVEL.
    pub level: Level,
    /// LOG_FORMAT=json.
    pub json: bool,
}

/// The least grave line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `trace`.
    Trace,
    /// `debug`.
    Debug,
    /// `info`.
    Info,
    /// `warn`, `warning`.
    Warn,
    /// `error`, `fatal`, `panic`.
    Error,
}

impl Level {
    /// The level's name for a log filter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl Log {
    pub(super) fn read(from: &mut Variables) -> Self {
        Self {
            level: from.parsed("LOG_LEVEL", Level::Warn, |text| match text.to_ascii_lowercase().as_str() {
                "trace" => Ok(Level::Trace),
                "debug" => Ok(Level::Debug),
                "info" => Ok(Level::Info),
                "warn" | "warning" => Ok(Level::Warn),
                "error" | "fatal" | "panic" => Ok(Level::Error),
                _ => Err("must be trace, debug, info, warn, error, fatal or panic".to_owned()),
            }),
            json: from.text("LOG_FORMAT", "text").eq_ignore_ascii_case("json"),
        }
    }
}
