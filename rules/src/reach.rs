//! Which rules reach which, so that none reaches itself, and how deep the stack gets: a stack that overflows ends the process, and with
//! it everybody's decisions.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use regorus::unstable::{Expr, Literal, Module, Query};

use crate::{
    Wrong,
    language::Names,
    parse::Text,
    tree::{self, Node, walk},
};

/// The deepest evaluation, in levels of the tree and turns of loops inside each other, over all the rules that call each other.
/// Measured: some hundred levels fit the two MiB of a thread's stack in a build without optimization (`tests::hostile`).
const MAX_LEVELS: usize = 100;

/// What stands in all the rules of one name.
#[derive(Default)]
struct Reach<'a> {
    line: u32,
    levels: usize,
    names: BTreeSet<&'a str>,
}

/// Refuses rules that reach themselves, and those whose evaluation would be too deep.
pub(crate) fn judge(text: &Text, module: &Module, names: &Names<'_>) -> Result<(), Wrong> {
    let mut reaches: BTreeMap<&str, Reach<'_>> = BTreeMap::new();
    for rule in &module.policy {
        let Some(name) = tree::name(rule) else { continue };
        let reach = reaches.entry(name).or_default();
        if reach.line == 0 {
            reach.line = rule.span().line;
        }
        let own = tree::of_rule(rule).into_iter().map(levels).max().unwrap_or(0);
        reach.levels = reach.levels.max(own);
        // The head's own name is no reference.
        let mut heads = 1;
        walk(rule, |node, _| {
            if let Node::Expr(Expr::Var { span, .. }) = node
                && let Some((named, _)) = names.get_key_value(span.text())
            {
                if *named == name && heads > 0 {
                    heads -= 1;
                } else {
                    reach.names.insert(named);
                }
            }
            ControlFlow::Continue(())
        });
    }
    let mut known = BTreeMap::new();
    for name in reaches.keys() {
        let total = total(text, name, &reaches, &mut known, &mut Vec::new())?;
        if total > MAX_LEVELS {
            let line = reaches.get(name).map_or(1, |reach| reach.line);
            return Err(text.wrong(line, format!("`{name}` and the rules that it reaches are nested {total} levels deep, of {MAX_LEVELS}")));
        }
    }
    Ok(())
}

/// The levels of a name and of what it reaches. It recurses at most once for each of a bounded number of rules.
fn total<'a>(
    text: &Text,
    name: &'a str,
    reaches: &BTreeMap<&'a str, Reach<'a>>,
    known: &mut BTreeMap<&'a str, usize>,
    above: &mut Vec<&'a str>,
) -> Result<usize, Wrong> {
    if let Some(total) = known.get(name) {
        return Ok(*total);
    }
    let Some(reach) = reaches.get(name) else { return Ok(0) };
    if above.contains(&name) {
        return Err(text.wrong(reach.line, format!("`{name}` reaches itself: rules do not recurse")));
    }
    above.push(name);
    let mut deepest = 0;
    for next in &reach.names {
        deepest = deepest.max(total(text, next, reaches, known, above)?);
    }
    above.pop();
    let total = reach.levels + deepest;
    known.insert(name, total);
    Ok(total)
}

/// How deep evaluating a node gets. The depth of the tree is bounded when this is called.
fn levels(node: Node<'_>) -> usize {
    let under = node.children().into_iter().map(levels).max().unwrap_or(0);
    match node {
        Node::Expr(_) => under + 1,
        // Each loop of a body is evaluated inside those before it.
        Node::Query(query) => under + 1 + loops(query),
    }
}

fn loops(query: &Query) -> usize {
    let in_statement = |literal: &Literal| match literal {
        Literal::SomeVars { .. } => 0,
        Literal::SomeIn { .. } | Literal::Every { .. } => 1,
        Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => iterations(expr),
    };
    query.stmts.iter().map(|statement| in_statement(&statement.literal) + 1).sum()
}

/// The references of an expression that may be loops: `roles[_]`.
fn iterations(expr: &Expr) -> usize {
    let own =
        usize::from(matches!(expr, Expr::RefBrack { index, .. } if !matches!(index.as_ref(), Expr::String { .. } | Expr::Number { .. })));
    let under = |node| match node {
        Node::Expr(expr) => iterations(expr),
        Node::Query(_) => 0,
    };
    own + Node::Expr(expr).children().into_iter().map(under).sum::<usize>()
}
