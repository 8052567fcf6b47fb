//! The keys of one block: which there may be, and what their values must be.

use bulkhead_tenancy::tree::{Entry, Node, Scalar, Value};

use super::{Source, loading};
use crate::dropin::settings::integer;

/// Every key that the original knows. It checks names alone, not places.
const KEYS: [&str; 17] = [
    "domain",
    "key",
    "value",
    "descriptors",
    "rate_limit",
    "unit",
    "requests_per_unit",
    "unlimited",
    "shadow_mode",
    "quota_mode",
    "name",
    "replaces",
    "detailed_metric",
    "value_to_metric",
    "share_threshold",
    "metadata",
    MERGE,
];

/// YAML's merge key: its mapping gives what the block does not say itself.
const MERGE: &str = "<<";

/// One block. Each key that is asked for is known from then on.
pub(super) struct Block<'a> {
    pub(super) source: &'a Source<'a>,
    entries: Vec<&'a Entry>,
    asked: Vec<&'static str>,
}

impl<'a> Block<'a> {
    /// Opens a block and judges its keys.
    pub(super) fn open(source: &'a Source<'a>, node: &'a Node) -> Result<Self, String> {
        let Value::Mapping(written) = &node.value else {
            return Err(loading(format!("line {}: must be a mapping, not {}", node.line, node.described())));
        };
        let mut block = Self { source, entries: Vec::with_capacity(written.len()), asked: Vec::new() };
        for entry in written {
            block.judge(entry)?;
            if block.find(&entry.key).is_some() {
                return Err(loading(format!("line {}: key \"{}\" is there twice", entry.line, entry.key)));
            }
            block.entries.push(entry);
        }
        for entry in written.iter().filter(|entry| &*entry.key == MERGE) {
            block.merge(&entry.node)?;
        }
        Ok(block)
    }

    fn merge(&mut self, node: &'a Node) -> Result<(), String> {
        match &node.value {
            Value::Mapping(entries) => {
                for entry in entries {
                    self.judge(entry)?;
                    if self.find(&entry.key).is_none() {
                        self.entries.push(entry);
                    }
                }
                Ok(())
            }
            Value::List(nodes) if nodes.iter().all(|node| matches!(node.value, Value::Mapping(_))) => {
                nodes.iter().try_for_each(|node| self.merge(node))
            }
            _ => Err(loading(format!("line {}: map merge requires map or sequence of maps as the value", node.line))),
        }
    }

    /// What the original says of a key, and of a value that is of no type that it takes.
    fn judge(&self, entry: &Entry) -> Result<(), String> {
        if !matches!(Scalar::plain(&entry.key), Scalar::Text(_)) {
            return Err(format!("config error, key is not of type string: {}", entry.key));
        }
        if !KEYS.contains(&&*entry.key) {
            return Err(format!("config error, unknown key '{}'", entry.key));
        }
        if &*entry.key == "metadata" || &*entry.key == MERGE {
            return Ok(());
        }
        match &entry.node.value {
            Value::Scalar(Scalar::Float(_)) => Err("error checking config".to_owned()),
            Value::List(items) => items.iter().try_for_each(|item| match &item.value {
                Value::Mapping(_) => Ok(()),
                Value::Scalar(Scalar::Text(text)) => Err(format!("config error, yaml file contains list of type other than map: {text}")),
                Value::Scalar(_) => {
                    Err(format!("config error, yaml file contains list of type other than map: {}", self.source.word(item)))
                }
                Value::List(_) => Err("config error, yaml file contains list of type other than map: a list".to_owned()),
            }),
            _ => Ok(()),
        }
    }

    fn find(&self, name: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| &*entry.key == name).copied()
    }

    /// The value of a key; null is no value.
    pub(super) fn node(&mut self, name: &'static str) -> Option<&'a Node> {
        self.asked.push(name);
        self.find(name).map(|entry| &entry.node).filter(|node| node.value != Value::Scalar(Scalar::Null))
    }

    /// Text, or any other scalar as it is written; empty where there is none.
    pub(super) fn text(&mut self, name: &'static str) -> Result<String, String> {
        let Some(node) = self.node(name) else { return Ok(String::new()) };
        match &node.value {
            Value::Scalar(Scalar::Text(text)) => Ok(text.to_string()),
            Value::Scalar(scalar) => Ok(self.written(node, scalar)),
            _ => Err(unlike(name, node, "text")),
        }
    }

    /// True or false, also in the words of YAML 1.1 that the original takes.
    pub(super) fn boolean(&mut self, name: &'static str) -> Result<bool, String> {
        let Some(node) = self.node(name) else { return Ok(false) };
        match &node.value {
            Value::Scalar(Scalar::Bool(value)) => Ok(*value),
            Value::Scalar(Scalar::Text(text)) => match &**text {
                "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(true),
                "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(false),
                _ => Err(unlike(name, node, "true or false")),
            },
            _ => Err(unlike(name, node, "true or false")),
        }
    }

    /// A whole number of 32 bits, in any of the ways of YAML 1.1; 0 where there is none.
    pub(super) fn number(&mut self, name: &'static str) -> Result<u32, String> {
        let Some(node) = self.node(name) else { return Ok(0) };
        let written = match &node.value {
            Value::Scalar(scalar @ Scalar::Integer(_)) => self.written(node, scalar),
            // `1_000` is a number in YAML 1.1.
            Value::Scalar(Scalar::Text(text)) if text.contains('_') => text.to_string(),
            _ => String::new(),
        };
        let number = integer(&written.replace('_', "")).ok().and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| unlike(name, node, "a whole number from 0 to 4294967295"))
    }

    /// The items of a list; none where there is none.
    pub(super) fn list(&mut self, name: &'static str) -> Result<Vec<&'a Node>, String> {
        let Some(node) = self.node(name) else { return Ok(Vec::new()) };
        match &node.value {
            Value::List(items) => Ok(items.iter().collect()),
            _ => Err(unlike(name, node, "a list")),
        }
    }

    /// Tells of the keys that nobody asked for: the original knows them and does not look at them here.
    pub(super) fn close(self, warnings: &mut Vec<String>) {
        for entry in self.entries.iter().filter(|entry| !self.asked.contains(&&*entry.key) && &*entry.key != MERGE) {
            warnings.push(format!("line {}: '{}' has no effect here", entry.line, entry.key));
        }
    }

    fn written(&self, node: &Node, scalar: &Scalar) -> String {
        let word = self.source.word(node);
        if Scalar::plain(word) == *scalar {
            return word.to_owned();
        }
        match scalar {
            Scalar::Null => String::new(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Integer(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
            Scalar::Text(text) => text.to_string(),
        }
    }
}

fn unlike(name: &str, node: &Node, wanted: &str) -> String {
    loading(format!("line {}: {name} must be {wanted}, not {}", node.line, node.described()))
}
