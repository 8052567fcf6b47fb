//! The syntax tree, as far as every check needs it: what stands under what. Nothing here recurses, for a hostile tree is deep.

use std::ops::ControlFlow;

use regorus::unstable::{Expr, Literal, Query, Rule, RuleBody, RuleHead};

/// A node that has nodes under it.
#[derive(Clone, Copy)]
pub(crate) enum Node<'a> {
    Expr(&'a Expr),
    Query(&'a Query),
}

impl<'a> Node<'a> {
    /// The nodes right under this one.
    pub(crate) fn children(self) -> Vec<Self> {
        match self {
            Self::Expr(expr) => of_expr(expr),
            Self::Query(query) => of_query(query),
        }
    }
}

fn of_expr(expr: &Expr) -> Vec<Node<'_>> {
    match expr {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } | Expr::Var { .. } => {
            Vec::new()
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().map(|item| Node::Expr(item)).collect(),
        Expr::Object { fields, .. } => fields.iter().flat_map(|(_, key, value)| [Node::Expr(key), Node::Expr(value)]).collect(),
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => vec![Node::Expr(term), Node::Query(query)],
        Expr::ObjectCompr { key, value, query, .. } => vec![Node::Expr(key), Node::Expr(value), Node::Query(query)],
        Expr::Call { fcn, params, .. } => std::iter::once(Node::Expr(fcn)).chain(params.iter().map(|param| Node::Expr(param))).collect(),
        Expr::UnaryExpr { expr, .. } => vec![Node::Expr(expr)],
        Expr::RefDot { refr, .. } => vec![Node::Expr(refr)],
        Expr::RefBrack { refr, index, .. } => vec![Node::Expr(refr), Node::Expr(index)],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![Node::Expr(lhs), Node::Expr(rhs)],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().map(|key| Node::Expr(key)).chain([Node::Expr(value), Node::Expr(collection)]).collect()
        }
    }
}

fn of_query(query: &Query) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                nodes.extend(key.iter().map(|key| Node::Expr(key)));
                nodes.extend([Node::Expr(value), Node::Expr(collection)]);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => nodes.push(Node::Expr(expr)),
            Literal::Every { domain, query, .. } => nodes.extend([Node::Expr(domain), Node::Query(query)]),
        }
        nodes.extend(statement.with_mods.iter().flat_map(|with| [Node::Expr(&with.refr), Node::Expr(&with.r#as)]));
    }
    nodes
}

/// The nodes right under a rule: its head, its values, its bodies.
pub(crate) fn of_rule(rule: &Rule) -> Vec<Node<'_>> {
    let mut nodes = Vec::new();
    match rule {
        Rule::Default { refr, args, value, .. } => {
            nodes.push(Node::Expr(refr));
            nodes.extend(args.iter().map(|arg| Node::Expr(arg)));
            nodes.push(Node::Expr(value));
        }
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { refr, assign, .. } => {
                    nodes.push(Node::Expr(refr));
                    nodes.extend(assign.iter().map(|assign| Node::Expr(&assign.value)));
                }
                RuleHead::Set { refr, key, .. } => {
                    nodes.push(Node::Expr(refr));
                    nodes.extend(key.iter().map(|key| Node::Expr(key)));
                }
                RuleHead::Func { refr, args, assign, .. } => {
                    nodes.push(Node::Expr(refr));
                    nodes.extend(args.iter().map(|arg| Node::Expr(arg)));
                    nodes.extend(assign.iter().map(|assign| Node::Expr(&assign.value)));
                }
            }
            for RuleBody { assign, query, .. } in bodies {
                nodes.extend(assign.iter().map(|assign| Node::Expr(&assign.value)));
                nodes.push(Node::Query(query));
            }
        }
    }
    nodes
}

/// Shows every node of a rule with its depth, from 1, whoever is above first, until `each` has seen enough.
pub(crate) fn walk<'a>(rule: &'a Rule, mut each: impl FnMut(Node<'a>, usize) -> ControlFlow<()>) {
    let mut waiting: Vec<_> = of_rule(rule).into_iter().rev().map(|node| (node, 1)).collect();
    while let Some((node, depth)) = waiting.pop() {
        if each(node, depth).is_break() {
            return;
        }
        waiting.extend(node.children().into_iter().rev().map(|child| (child, depth + 1)));
    }
}

/// What a rule's head names: `allow`, `deny[x]`, `f(x)`; absent where it is more than a plain name.
pub(crate) fn name(rule: &Rule) -> Option<&str> {
    let refr = match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. }, .. } => refr,
    };
    let root = match refr.as_ref() {
        Expr::RefBrack { refr, .. } if !matches!(rule, Rule::Spec { head: RuleHead::Func { .. }, .. }) => refr,
        _ => refr,
    };
    match root.as_ref() {
        Expr::Var { span, .. } => Some(span.text()),
        _ => None,
    }
}

/// A call's function, or a reference of plain names: `strings.count`.
pub(crate) fn path(mut expr: &Expr) -> Option<String> {
    let mut names = Vec::new();
    loop {
        match expr {
            Expr::Var { span, .. } => {
                names.push(span.text());
                names.reverse();
                return Some(names.join("."));
            }
            Expr::RefDot { refr, field, .. } => {
                names.push(field.0.text());
                expr = refr;
            }
            _ => return None,
        }
    }
}
