//! Reading variables: each with its default, every bad one remembered with its name, so that one start tells of all.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::go;

/// The process's variables, or a test's.
pub struct Variables {
    given: BTreeMap<String, String>,
    errors: Vec<BadVariable>,
}

/// A variable whose value cannot be used. The text never holds the value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct BadVariable {
    /// The variable.
    pub name: &'static str,
    /// What is wrong with it.
    pub what: String,
}

impl Variables {
    /// Given variables.
    pub fn new<K: Into<String>, V: Into<String>>(given: impl IntoIterator<Item = (K, V)>) -> Self {
        let given = given.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { given, errors: Vec::new() }
    }

    /// The process's own. One that is not UTF-8 stands there with replaced characters.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())))
    }

    /// A variable's text where it is set, be it empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.given.get(name).map(String::as_str)
    }

    /// Whether a variable is set and holds something.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &'static str, default: &str) -> String {
        self.value(name).unwrap_or(default).to_owned()
    }

    pub(super) fn some_text(&self, name: &'static str) -> Option<String> {
        self.value(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn file(&self, name: &'static str) -> Option<PathBuf> {
        self.some_text(name).map(PathBuf::from)
    }

    pub(super) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        self.parsed(name, default, go::boolean)
    }

    pub(super) fn duration(&mut self, name: &'static str, default: Duration) -> Duration {
        self.parsed(name, default, go::duration)
    }

    pub(super) fn pairs(&mut self, name: &'static str) -> BTreeMap<String, String> {
        self.parsed(name, BTreeMap::new(), go::pairs)
    }

    pub(super) fn port(&mut self, name: &'static str, default: u16) -> u16 {
        self.parsed(name, default, |text| u16::try_from(go::integer(text)?).map_err(|_| "must be a port, 0 to 65535".to_owned()))
    }

    /// A whole number from 0 on.
    pub(super) fn count(&mut self, name: &'static str, default: u64) -> u64 {
        self.parsed(name, default, |text| u64::try_from(go::integer(text)?).map_err(|_| "must not be below 0".to_owned()))
    }

    /// A number from 0 to 1.
    pub(super) fn ratio(&mut self, name: &'static str, default: f64) -> f64 {
        self.parsed(name, default, |text| match text.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
            _ => Err("must be a number from 0 to 1".to_owned()),
        })
    }

    pub(super) fn parsed<T>(&mut self, name: &'static str, default: T, parse: impl FnOnce(&str) -> Result<T, String>) -> T {
        let Some(text) = self.value(name) else { return default };
        match parse(text) {
            Ok(value) => value,
            Err(what) => {
                self.bad(name, what);
                default
            }
        }
    }

    pub(super) fn bad(&mut self, name: &'static str, what: impl Into<String>) {
        self.errors.push(BadVariable { name, what: what.into() });
    }

    pub(super) fn finish(self) -> Vec<BadVariable> {
        self.errors
    }
}
