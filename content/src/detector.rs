//! The kinds of personal data, as policies name them.

use std::fmt;

/// What a detector looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Detector {
    Email,
    Phone,
    Card,
    Iban,
    NationalId,
    Ip,
    Secret,
}

impl Detector {
    /// Every detector, in the order of their names in `detectors`.
    pub const ALL: [Self; 7] = [Self::Email, Self::Phone, Self::Card, Self::Iban, Self::NationalId, Self::Ip, Self::Secret];

    /// The name in policies, metrics, audit and `[redacted:<name>]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::NationalId => "national-id",
            Self::Ip => "ip",
            Self::Secret => "secret",
        }
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some of the kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn contains(self, kind: Detector) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    pub(crate) const fn insert(&mut self, kind: Detector) {
        self.0 |= 1 << kind as u8;
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Detector> {
        Detector::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl<'k> FromIterator<&'k Detector> for Kinds {
    fn from_iter<I: IntoIterator<Item = &'k Detector>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::default(), |mut all, kind| {
            all.insert(*kind);
            all
        })
    }
}
