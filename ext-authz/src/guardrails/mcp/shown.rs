//! What an answer to `tools/list` may show: decided by Check, told in the metadata, and read there by Process.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// The tools that a caller may see, as their server calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Whether every result of the answer is a list of tools, or any may be.
    pub every: bool,
    names: BTreeSet<String>,
}

impl Shown {
    /// These tools.
    pub fn new(every: bool, names: impl IntoIterator<Item = String>) -> Self {
        Self { every, names: names.into_iter().collect() }
    }

    /// Of these, the ones that pass.
    #[must_use]
    pub fn only(&self, passes: impl Fn(&str) -> bool) -> Self {
        Self::new(self.every, self.names.iter().filter(|name| passes(name)).cloned())
    }

    /// Whether a tool is one of them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }
}

/// No name of a tool holds a space (`WireName`), so words stay words.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.every { "list" } else { "any" })?;
        self.names.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

/// The text was not written by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not what Check writes of the tools that may be shown")]
pub struct NotShown;

impl FromStr for Shown {
    type Err = NotShown;

    fn from_str(text: &str) -> Result<Self, NotShown> {
        let mut words = text.split(' ');
        let every = match words.next() {
            Some("list") => true,
            Some("any") => false,
            _ => return Err(NotShown),
        };
        Ok(Self::new(every, words.map(str::to_owned)))
    }
}
