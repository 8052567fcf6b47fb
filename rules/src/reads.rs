//! What of the input a text may read. Arguments of a tool can be larger than what rules are asked about; whoever reads none of them is asked without.

use std::ops::ControlFlow;

use regorus::unstable::{Expr, Module};

use crate::tree::{Node, walk};

/// Whether a text may read `input.mcp.arguments`: it may, unless wherever it says `input` it goes on to name another part.
pub(crate) fn arguments(module: &Module) -> bool {
    let (mut inputs, mut other_parts) = (0_usize, 0_usize);
    for rule in &module.policy {
        walk(rule, |node, _| {
            if let Node::Expr(expr) = node {
                inputs += usize::from(is_input(expr));
                other_parts += usize::from(is_other_part(expr));
            }
            ControlFlow::Continue(())
        });
    }
    inputs != other_parts
}

fn is_other_part(expr: &Expr) -> bool {
    match field(expr) {
        Some((of, "caller" | "resource" | "request")) => is_input(of),
        Some((of, "method" | "tool")) => field(of).is_some_and(|(of, name)| name == "mcp" && is_input(of)),
        _ => false,
    }
}

/// `of.name`
fn field(expr: &Expr) -> Option<(&Expr, &str)> {
    match expr {
        Expr::RefDot { refr, field, .. } => Some((refr, field.0.text())),
        _ => None,
    }
}

fn is_input(expr: &Expr) -> bool {
    matches!(expr, Expr::Var { span, .. } if span.text() == "input")
}
