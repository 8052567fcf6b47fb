//! The part of the language that rules may use. What is refused reads other documents, changes the input, or is easily meant otherwise
//! than it is read.

use std::{collections::BTreeMap, ops::ControlFlow};

use regorus::unstable::{Expr, Module, Query, Rule, RuleHead};

use crate::{
    Wrong, builtins,
    parse::Text,
    tree::{self, Node, walk},
};

/// The most rules of one text.
const MAX_RULES: usize = 256;
/// How deep lists, calls and bodies may lie in each other. (regorus counts to 32 of its own, but not the links of a chain.)
const MAX_DEPTH: usize = 48;
/// The longest number, in characters: no number is a megabyte.
const MAX_NUMBER: usize = 24;
/// The most patterns of a text, each of which may take 64 KiB once it is compiled.
const MAX_PATTERNS: usize = 64;
/// The longest pattern, in bytes: it is read whole before it is found to be too large.
const MAX_PATTERN: usize = 1 << 10;

/// What a name stands for in one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// A function with so many arguments.
    Function(usize),
    /// A rule with a value.
    Value,
    /// A set that rules add to.
    Set,
}

/// The names that a text gives.
pub(crate) type Names<'a> = BTreeMap<&'a str, Named>;

/// Checks a text, and gives its names and the patterns that it matches with.
pub(crate) fn judge<'a>(text: &Text, module: &'a Module) -> Result<(Names<'a>, Vec<(String, regex::Regex)>), Wrong> {
    if module.policy.len() > MAX_RULES {
        return Err(text.wrong(1, format!("has more than {MAX_RULES} rules")));
    }
    if tree::path(&module.package.refr).is_none() {
        return Err(text.wrong(module.package.span.line, "the package's name must be plain names with dots between them"));
    }
    for import in &module.imports {
        let path = tree::path(&import.refr).unwrap_or_default();
        let known = path == "rego.v1" || path == "future.keywords" || path.starts_with("future.keywords.");
        if !known || import.r#as.is_some() {
            return Err(text.wrong(import.span.line, "may import rego.v1 and future.keywords alone: a rule sees nothing but its input"));
        }
    }
    let names = names(text, module)?;
    let mut patterns = Vec::new();
    for rule in &module.policy {
        check(text, rule, &names, &mut patterns)?;
    }
    match names.get("allow") {
        Some(Named::Value) => Ok((names, patterns)),
        Some(_) => Err(text.wrong(1, "`allow` must be a rule that is true or not, neither a set nor a function")),
        None => Err(text.wrong(1, "has no rule named `allow`: it would deny everything")),
    }
}

fn names<'a>(text: &Text, module: &'a Module) -> Result<Names<'a>, Wrong> {
    let mut names = Names::new();
    for rule in &module.policy {
        let line = rule.span().line;
        let name = tree::name(rule).ok_or_else(|| text.wrong(line, "the name of a rule must be a plain name"))?;
        if matches!(name, "input" | "data") || builtins::is_taken(name) {
            return Err(text.wrong(line, format!("a rule cannot be named `{name}`, which means something already")));
        }
        let named = match rule.as_ref() {
            Rule::Default { args, .. } if !args.is_empty() => Named::Function(args.len()),
            Rule::Default { .. } => Named::Value,
            Rule::Spec { head, bodies, .. } => match head {
                // Two rules on one line, mostly: `allow if {...}` read as v0, `allow unless {...}`, a line that was broken.
                RuleHead::Compr { assign: None, .. } if bodies.is_empty() => {
                    return Err(text.wrong(line, format!("`{name}` stands alone, and would always be true: write `{name} := true`")));
                }
                RuleHead::Compr { .. } => Named::Value,
                RuleHead::Set { .. } => Named::Set,
                RuleHead::Func { args, .. } => Named::Function(args.len()),
            },
        };
        if names.insert(name, named).is_some_and(|other| other != named) {
            return Err(text.wrong(line, format!("`{name}` is two things: a function, a set or a value")));
        }
    }
    Ok(names)
}

/// Checks every node of a rule, the depth first: after it, whoever walks the tree may recurse.
fn check(text: &Text, rule: &Rule, names: &Names<'_>, patterns: &mut Vec<(String, regex::Regex)>) -> Result<(), Wrong> {
    let mut wrong = None;
    walk(rule, |node, depth| {
        let found = match node {
            _ if depth > MAX_DEPTH => Err(text.wrong(rule.span().line, format!("is nested deeper than {MAX_DEPTH} levels"))),
            Node::Query(query) => unmodified(text, query),
            Node::Expr(expr) => expression(text, expr, names, patterns),
        };
        wrong = found.err();
        if wrong.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    wrong.map_or(Ok(()), Err)
}

fn unmodified(text: &Text, query: &Query) -> Result<(), Wrong> {
    match query.stmts.iter().find(|statement| !statement.with_mods.is_empty()) {
        Some(statement) => Err(text.wrong(statement.span.line, "`with` is for tests of rules: a rule judges the input that it is given")),
        None => Ok(()),
    }
}

fn expression(text: &Text, expr: &Expr, names: &Names<'_>, patterns: &mut Vec<(String, regex::Regex)>) -> Result<(), Wrong> {
    match expr {
        Expr::Var { span, .. } if span.text() == "data" => {
            Err(text.wrong(span.line, "there is no `data`: a rule sees its input, and names other rules without a path"))
        }
        Expr::Number { span, .. } if span.text().len() > MAX_NUMBER || large_exponent(span.text()) => {
            Err(text.wrong(span.line, "the number is too large, or has too many digits"))
        }
        Expr::Call { span, fcn, params, .. } => {
            let name = tree::path(fcn).ok_or_else(|| text.wrong(span.line, "calls what is no function"))?;
            let wanted = match (names.get(name.as_str()), builtins::find(&name)) {
                (Some(Named::Function(arguments)), _) => *arguments,
                (None, Some((arguments, _))) => arguments,
                _ => {
                    let message = format!("`{}` is none of the functions that a rule may call (docs/rules.md lists them)", shown(&name));
                    return Err(text.wrong(span.line, message));
                }
            };
            if params.len() != wanted {
                return Err(text.wrong(span.line, format!("`{}` takes {wanted} arguments, not {}", shown(&name), params.len())));
            }
            if name == "regex.match" {
                pattern(text, span.line, params.first().map(AsRef::as_ref), patterns)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Compiled once, at load: a pattern out of a request would be compiled for each. Few and short ones: a short text can name patterns that take megabytes (S16).
fn pattern(text: &Text, line: u32, pattern: Option<&Expr>, known: &mut Vec<(String, regex::Regex)>) -> Result<(), Wrong> {
    let Some(Expr::String { value, .. } | Expr::RawString { value, .. }) = pattern else {
        return Err(text.wrong(line, "the pattern of `regex.match` must stand there as text"));
    };
    let pattern = value.as_string().map_err(|_| text.wrong(line, "the pattern of `regex.match` must be text"))?;
    if known.iter().any(|(known, _)| **known == **pattern) {
        return Ok(());
    }
    if known.len() == MAX_PATTERNS {
        return Err(text.wrong(line, format!("has more than {MAX_PATTERNS} different patterns for `regex.match`")));
    }
    if pattern.len() > MAX_PATTERN {
        return Err(text.wrong(line, format!("the pattern of `regex.match` has more than {MAX_PATTERN} bytes")));
    }
    let regex = builtins::pattern(pattern).map_err(|why| text.wrong(line, format!("the pattern of `regex.match` {why}")))?;
    known.push((pattern.to_string(), regex));
    Ok(())
}

fn large_exponent(number: &str) -> bool {
    number.split(['e', 'E']).nth(1).is_some_and(|exponent| exponent.trim_start_matches(['+', '-']).len() > 2)
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}
