//! A configuration file of the original: YAML text to a draft of rules.
//!
//! What the original refuses is refused in its words. Keys that it does not know refuse the file wherever they stand; keys that it knows
//! and does not look at where they stand are told as warnings. The text is hostile input: the reader of `tenancy` bounds it (S16).

mod fields;
mod metadata;

use bulkhead_tenancy::{
    tree::Node,
    yaml::{self, Bounds},
};

use self::fields::Block;
use super::rules::{
    Refused,
    draft::{Draft, RateDraft, RuleDraft},
};

/// How large one file may be.
const BOUNDS: Bounds = Bounds { bytes: 4 << 20, documents: 1_000, nodes: 400_000, patterns: 0 };

/// What a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Its rules, not judged yet.
    pub draft: Draft,
    /// What stands in it and has no effect.
    pub warnings: Vec<String>,
}

/// Reads a file; `name` is what errors call it.
///
/// # Errors
/// Text that is no YAML, an unknown key, or a value of a wrong type.
pub fn parse(name: &str, text: &str) -> Result<Parsed, Refused> {
    read(name, text).map_err(|what| Refused { name: name.to_owned(), what })
}

fn read(name: &str, text: &str) -> Result<Parsed, String> {
    let (documents, faults) = yaml::documents(&name.into(), text, BOUNDS);
    if let Some(fault) = faults.first() {
        return Err(match fault.line {
            0 => loading(&fault.message),
            line => loading(format!("line {line}: {}", fault.message)),
        });
    }
    let source = Source { lines: text.lines().collect() };
    let mut warnings = Vec::new();
    if documents.len() > 1 {
        // As the original, which reads no further.
        warnings.push("only the first document of the file is read".to_owned());
    }
    let mut draft = Draft { name: name.to_owned(), ..Draft::default() };
    if let Some(root) = documents.first() {
        let mut block = Block::open(&source, root)?;
        draft.domain = block.text("domain")?;
        draft.descriptors = rules(&mut block, "descriptors", &mut warnings)?;
        block.close(&mut warnings);
    }
    Ok(Parsed { draft, warnings })
}

fn rules(block: &mut Block<'_>, name: &'static str, warnings: &mut Vec<String>) -> Result<Vec<RuleDraft>, String> {
    block.list(name)?.into_iter().map(|node| rule(block.source, node, warnings)).collect()
}

fn rule(source: &Source<'_>, node: &Node, warnings: &mut Vec<String>) -> Result<RuleDraft, String> {
    let mut block = Block::open(source, node)?;
    let draft = RuleDraft {
        key: block.text("key")?,
        value: block.text("value")?,
        rate_limit: block.node("rate_limit").map(|node| rate(source, node, warnings)).transpose()?,
        descriptors: rules(&mut block, "descriptors", warnings)?,
        shadow_mode: block.boolean("shadow_mode")?,
        quota_mode: block.boolean("quota_mode")?,
        detailed_metric: block.boolean("detailed_metric")?,
        value_to_metric: block.boolean("value_to_metric")?,
        share_threshold: block.boolean("share_threshold")?,
        metadata: block.node("metadata").map(|node| metadata::read(source, node)).transpose()?,
    };
    block.close(warnings);
    Ok(draft)
}

fn rate(source: &Source<'_>, node: &Node, warnings: &mut Vec<String>) -> Result<RateDraft, String> {
    let mut block = Block::open(source, node)?;
    let draft = RateDraft {
        unit: block.text("unit")?,
        requests_per_unit: block.number("requests_per_unit")?,
        unlimited: block.boolean("unlimited")?,
        name: block.text("name")?,
        replaces: block.list("replaces")?.into_iter().map(|node| replaced(source, node, warnings)).collect::<Result<_, _>>()?,
    };
    block.close(warnings);
    Ok(draft)
}

fn replaced(source: &Source<'_>, node: &Node, warnings: &mut Vec<String>) -> Result<String, String> {
    let mut block = Block::open(source, node)?;
    let name = block.text("name")?;
    block.close(warnings);
    Ok(name)
}

/// The original's words before whatever its YAML reader says.
fn loading(what: impl std::fmt::Display) -> String {
    format!("error loading config file: {what}")
}

/// The text itself: a number or a truth that stands where text is meant is taken as it was written (`007`, `True`).
struct Source<'t> {
    lines: Vec<&'t str>,
}

impl Source<'_> {
    /// The word that begins at a node.
    fn word(&self, node: &Node) -> &str {
        let line = usize::try_from(node.line).unwrap_or(0).checked_sub(1).and_then(|line| self.lines.get(line)).copied().unwrap_or("");
        let start = line.char_indices().nth(usize::try_from(node.column).unwrap_or(0).saturating_sub(1)).map_or(line.len(), |(at, _)| at);
        let rest = line.get(start..).unwrap_or("");
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-._~".contains(c)).unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }
}
