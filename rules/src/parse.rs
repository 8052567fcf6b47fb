//! From text to a syntax tree: which version of the language it is in, and where in the author's text an error stands.

use regorus::unstable::{Lexer, Module, Parser, Source, Token, TokenKind};

use crate::{Version, Wrong, tree};

/// The most bytes of one text.
pub const MAX_BYTES: usize = 64 << 10;
/// The most trials of the parser, each of which costs a tenth of a millisecond at the worst.
const MAX_TRIALS: u64 = 1 << 13;
/// What stands above a text that names no package, on a line of its own.
const PACKAGE: &str = "package bulkhead\n";
/// The name that regorus knows a text by.
pub(crate) const FILE: &str = "rules";

/// A text in a version, with a package.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) version: Version,
    /// How many lines of it are not the author's.
    added: u32,
}

impl Text {
    /// The author's line for one of this text's.
    pub(crate) fn line(&self, line: u32) -> u32 {
        line.saturating_sub(self.added).max(1)
    }

    pub(crate) fn wrong(&self, line: u32, message: impl Into<String>) -> Wrong {
        Wrong::at(self.line(line), message)
    }

    /// What regorus complains about, without its picture of the source.
    pub(crate) fn complaint(&self, error: &anyhow::Error) -> Wrong {
        let (line, message) = located(&error.to_string());
        self.wrong(line.unwrap_or(1), message)
    }
}

/// Reads a text: as the version asked for; else as v1, and as v0 only if it is not v1 and names no rule `if` or `contains`. (Read as v0,
/// `allow if {...}` is a bare `allow`, which allows everybody, and a rule named `if`.)
pub(crate) fn parse(text: &str, version: Option<Version>) -> Result<(Text, Module), Wrong> {
    if text.len() > MAX_BYTES {
        return Err(Wrong::at(1, format!("has more than {MAX_BYTES} bytes")));
    }
    match version {
        Some(version) => read(text, version),
        None => read(text, Version::V1).or_else(|not_v1| match read(text, Version::V0) {
            Ok((text, module)) if !module.policy.iter().any(|rule| matches!(tree::name(rule), Some("if" | "contains"))) => {
                Ok((text, module))
            }
            _ => Err(not_v1),
        }),
    }
}

fn read(text: &str, version: Version) -> Result<(Text, Module), Wrong> {
    let (added, whole) = if names_a_package(text) { (0, text.to_owned()) } else { (1, format!("{PACKAGE}{text}")) };
    let text = Text { text: whole, version, added };
    let complain = |error: anyhow::Error| text.complaint(&error);
    let source = Source::from_contents(FILE.to_owned(), text.text.clone()).map_err(complain)?;
    let (trials, line) = trials(&source).map_err(complain)?;
    if trials > MAX_TRIALS {
        return Err(text.wrong(line, "has too many lists and objects inside each other"));
    }
    let mut parser = Parser::new(&source).map_err(complain)?;
    if version == Version::V1 {
        parser.enable_rego_v1().map_err(complain)?;
    }
    let module = parser.parse().map_err(complain)?;
    Ok((text, module))
}

/// How often regorus' parser tries in vain, and the line where that becomes too often. It reads what stands in brackets as a comprehension
/// first, then as a list, and so twice for each bracket around it.
fn trials(source: &Source) -> anyhow::Result<(u64, u32)> {
    let mut lexer = Lexer::new(source);
    let (mut trials, mut depth) = (0_u64, 0_u32);
    loop {
        let Token(kind, span) = lexer.next_token()?;
        match kind {
            TokenKind::Eof => return Ok((trials, span.line)),
            TokenKind::Symbol if matches!(span.text(), "[" | "{") => {
                depth += 1;
                trials = trials.saturating_add(1_u64.checked_shl(depth).unwrap_or(u64::MAX));
            }
            TokenKind::Symbol if matches!(span.text(), "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        if trials > MAX_TRIALS {
            return Ok((trials, span.line));
        }
    }
}

/// Whether the first thing in a text is its package.
fn names_a_package(text: &str) -> bool {
    let first = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with('#'));
    first.and_then(|line| line.strip_prefix("package")).is_some_and(|rest| rest.starts_with(char::is_whitespace))
}

/// Line and message of `--> FILE:LINE:COLUMN ... error: MESSAGE`.
fn located(error: &str) -> (Option<u32>, String) {
    let line = error.split_once("--> ").and_then(|(_, at)| at.split(':').nth(1)).and_then(|line| line.parse().ok());
    let message = error.rsplit_once("error: ").map_or(error, |(_, message)| message);
    let message: String = message.chars().take(200).map(|char| if char.is_control() { ' ' } else { char }).collect();
    (line, message.trim().to_owned())
}
