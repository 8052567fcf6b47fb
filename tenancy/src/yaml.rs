//! YAML text to trees, one for each document, inside bounds that hostile text cannot pass (S16).
//!
//! The parser gives events with marks; what is built here is a tree and nothing else, so that the decoder can go on after an error and
//! report every one of a file. A document with a syntax error is left out; the documents after it are still read.

use std::{collections::HashMap, sync::Arc};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::{
    fault::Fault,
    place::Place,
    tree::{Entry, Node, Scalar, Value},
};

#[cfg(test)]
mod tests;

/// How large one file may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most bytes.
    pub bytes: usize,
    /// The most documents.
    pub documents: usize,
    /// The most nodes, aliases expanded: what bounds the memory, whatever the text.
    pub nodes: usize,
    /// The most regular expressions that are compiled, each of which may take milliseconds.
    pub patterns: usize,
}

/// What was spent of the bounds so far by all files that share them. A thousand small files may hold as many aliases as a large one must not (S16).
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Nodes, aliases expanded.
    nodes: usize,
    /// Bytes of text that were copied.
    copied: usize,
    aliases: usize,
    /// Regular expressions that were compiled.
    pub(crate) patterns: usize,
}

impl Bounds {
    /// A file of a tenant's partition, which is hostile input; nodes and patterns are those of all its files.
    pub const PARTITION: Self = Self { bytes: 4 << 20, documents: 20_000, nodes: 400_000, patterns: 1_000 };
    /// A file of the operator's, who may keep every Tenant in one.
    pub const OPERATOR: Self = Self { bytes: 64 << 20, documents: 200_000, nodes: 4_000_000, patterns: 100_000 };
}

/// The most bytes of text that anchors and aliases may copy: one long text is one node, and a thousand aliases of it a thousand copies.
pub const MAX_COPIED_BYTES: usize = 1 << 20;
/// The most aliases that a file may use, or all files that share bounds.
pub const MAX_ALIASES: usize = 1_000;
/// How deep lists and mappings may lie in each other. A JSON Schema in a Tool is the deepest thing that we read.
pub const MAX_DEPTH: usize = 64;

/// The documents of a text that hold something, in order, and what is wrong with the text as YAML.
#[must_use]
pub fn documents(file: &Arc<str>, text: &str, bounds: Bounds) -> (Vec<Node>, Vec<Fault>) {
    documents_sharing(file, text, bounds, &mut Spent::default())
}

/// The same for one of several files that share the bounds.
#[must_use]
pub fn documents_sharing(file: &Arc<str>, text: &str, bounds: Bounds, spent: &mut Spent) -> (Vec<Node>, Vec<Fault>) {
    let whole = Place::file(file);
    if text.len() > bounds.bytes {
        return (Vec::new(), vec![whole.fault(format!("has more than {} bytes", bounds.bytes))]);
    }
    let options = granit_parser::options! { emit_comments: false, block_nesting_limit: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH };
    let parser = Parser::new_from_str_with_options(text, options).keep_tags(false);
    let together = if spent.nodes > 0 { ", with the files before it" } else { "" };
    let mut builder = Builder { parser, anchors: HashMap::new(), bounds, spent, together };
    let (mut documents, mut faults) = (Vec::new(), Vec::new());
    // Broken documents count as well: each is a fault.
    for _ in 0..bounds.documents {
        match builder.document() {
            Ok(Some(document)) if document.value == Value::Scalar(Scalar::Null) => {}
            Ok(Some(document)) => documents.push(document),
            Ok(None) => return (documents, faults),
            Err(error) => {
                faults.push(whole.clone().at(error.line, error.column).fault(error.message));
                let goes_on = !error.last && builder.parser.proceed_next_document().unwrap_or(false);
                if !goes_on {
                    return (documents, faults);
                }
            }
        }
    }
    if !matches!(builder.document(), Ok(None)) {
        faults.push(whole.fault(format!("has more than {} documents", bounds.documents)));
    }
    (documents, faults)
}

/// Why a document has no tree.
struct Broken {
    line: u32,
    column: u32,
    message: String,
    /// Whether the rest of the file is not looked at: a bound was passed.
    last: bool,
}

impl From<ScanError> for Broken {
    fn from(error: ScanError) -> Self {
        // The parser's messages name characters and constructs, never the text's own words.
        Self {
            line: narrow(error.marker().line()),
            column: narrow(error.marker().col() + 1),
            message: format!("is not YAML: {}", error.kind()),
            last: false,
        }
    }
}

impl Broken {
    fn at(span: &Span, message: impl Into<String>) -> Self {
        let (line, column) = position(span);
        Self { line, column, message: message.into(), last: false }
    }

    fn bound(span: &Span, message: String) -> Self {
        Self { last: true, ..Self::at(span, message) }
    }
}

fn position(span: &Span) -> (u32, u32) {
    (narrow(span.start.line()), narrow(span.start.col() + 1))
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A node that aliases may stand for.
struct Anchored {
    node: Node,
    /// How many nodes it is.
    size: usize,
    /// How many bytes of text stand in it.
    bytes: usize,
    /// How many levels it is deep.
    height: usize,
}

struct Builder<'t, 's> {
    parser: Parser<'t, StrInput<'t>>,
    /// Anchored nodes of the document, by the parser's number.
    anchors: HashMap<usize, Anchored>,
    bounds: Bounds,
    spent: &'s mut Spent,
    /// What a complaint adds where other files have spent a part.
    together: &'static str,
}

impl<'t> Builder<'t, '_> {
    /// The next document; absent at the end.
    fn document(&mut self) -> Result<Option<Node>, Broken> {
        self.anchors.clear();
        while let Some(event) = self.parser.next_event() {
            match event? {
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (Event::StreamEnd, _) => return Ok(None),
                (event, span) => return self.node(event, &span, 0).map(Some),
            }
        }
        Ok(None)
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Broken> {
        match self.parser.next_event() {
            Some(event) => Ok(event?),
            None => Err(Broken { line: 0, column: 0, message: "is not YAML: it ends too early".into(), last: true }),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Broken> {
        let before = self.spent.nodes;
        self.count(1, span)?;
        shallow(depth, span)?;
        let (line, column) = position(span);
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                let scalar = if style == ScalarStyle::Plain { Scalar::plain(&text) } else { Scalar::Text(text.into()) };
                (Value::Scalar(scalar), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                (Value::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                (Value::Mapping(self.mapping(depth)?), anchor)
            }
            Event::Alias(target) => return self.alias(target, span, depth),
            _ => return Err(Broken::at(span, "is not YAML that this release reads")),
        };
        let node = Node { line, column, value };
        if anchor != 0 {
            // The copy counts, too: a tower of anchors would else cost its square.
            let size = self.spent.nodes - before;
            self.count(size, span)?;
            let bytes = text_bytes(&node);
            self.copy(bytes, span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, bytes, height: height(&node) });
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Broken> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Broken> {
        let mut entries = Vec::new();
        loop {
            let (key, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(key, _, 0, None), span) => (key, span),
                (_, span) => return Err(Broken::at(&span, "has a key that is not plain text")),
            };
            let (line, column) = position(&span);
            let (event, span) = self.next()?;
            let node = self.node(event, &span, depth + 1)?;
            entries.push(Entry { key: key.into(), line, column, node });
        }
    }

    fn alias(&mut self, target: usize, span: &Span, depth: usize) -> Result<Node, Broken> {
        self.spent.aliases += 1;
        if self.spent.aliases > MAX_ALIASES {
            return Err(Broken::bound(span, format!("uses more than {MAX_ALIASES} aliases{}", self.together)));
        }
        // A node inside itself is not there yet.
        let missing = || Broken::at(span, "uses an alias inside the value that it stands for");
        let &Anchored { size, bytes, height, .. } = self.anchors.get(&target).ok_or_else(missing)?;
        // A chain of aliases would else be as deep as it is long, and whoever walks or drops the tree would run out of stack.
        shallow(depth + height, span)?;
        // Counted before it is copied.
        self.count(size, span)?;
        self.copy(bytes, span)?;
        self.anchors.get(&target).map(|anchored| anchored.node.clone()).ok_or_else(missing)
    }

    fn copy(&mut self, bytes: usize, span: &Span) -> Result<(), Broken> {
        self.spent.copied += bytes;
        if self.spent.copied > MAX_COPIED_BYTES {
            return Err(Broken::bound(
                span,
                format!("has more than {MAX_COPIED_BYTES} bytes of text under anchors and aliases{}", self.together),
            ));
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: &Span) -> Result<(), Broken> {
        self.spent.nodes += nodes;
        if self.spent.nodes > self.bounds.nodes {
            return Err(Broken::bound(span, format!("has more than {} values, aliases expanded{}", self.bounds.nodes, self.together)));
        }
        Ok(())
    }
}

fn text_bytes(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(Scalar::Text(text)) => text.len(),
        Value::Scalar(_) => 0,
        Value::List(items) => items.iter().map(text_bytes).sum(),
        Value::Mapping(entries) => entries.iter().map(|entry| entry.key.len() + text_bytes(&entry.node)).sum(),
    }
}

fn height(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::List(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Mapping(entries) => 1 + entries.iter().map(|entry| height(&entry.node)).max().unwrap_or(0),
    }
}

fn shallow(depth: usize, span: &Span) -> Result<(), Broken> {
    if depth <= MAX_DEPTH { Ok(()) } else { Err(Broken::at(span, format!("is nested deeper than {MAX_DEPTH} levels"))) }
}

/// A tag could only say what the field says already, or contradict it.
fn untagged(tag: Option<&Tag>, span: &Span) -> Result<(), Broken> {
    tag.map_or(Ok(()), |_| Err(Broken::at(span, "has a tag (`!...`): write the value without it")))
}
