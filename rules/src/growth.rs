//! How large what a rule builds may become. A value may hold another twice at no cost (`y := [x, x]`), and forty such lines make one whose
//! comparison takes 2^40 steps, which no clock interrupts. So sizes are reckoned at load, from above, and too large ones are refused.
//!
//! A size counts the scalars of a value as if each was there for itself. It is reckoned without the flow of control: a name has the largest
//! size of all that is bound to it.

use std::collections::BTreeMap;

use regorus::unstable::{ArithOp, BinOp, Expr, Literal, Module, Query, Rule, RuleAssign, RuleBody, RuleHead};

use crate::{
    Wrong,
    budget::STEPS,
    builtins::{self, Gives},
    input::MAX_VALUES,
    language::{Named, Names},
    parse::Text,
    tree,
};

/// The largest size of what a rule builds. Comparing two such takes a fraction of a second.
const MOST: u64 = 10_000_000;
/// How often a loop turns at the most: no turn is less than four steps.
const TURNS: u64 = STEPS as u64 / 4;
/// What the input, or a part of it of which nothing is known, may hold.
const GIVEN: u64 = MAX_VALUES as u64;
/// How often a number may be multiplied: each doubles its digits at the worst.
const MOST_FACTORS: u64 = 64;
/// Rounds until sizes must stand. They stand after as many as names depend on each other, if they are no circle.
const ROUNDS: usize = 64;

/// A size, and what is known of the items' own.
#[derive(Debug, Clone, PartialEq)]
struct Size {
    total: u64,
    /// Absent: items are as large as the whole may be.
    item: Option<Box<Size>>,
}

impl Size {
    const fn scalar() -> Self {
        Self { total: 1, item: None }
    }

    const fn given() -> Self {
        Self { total: GIVEN, item: None }
    }

    fn of(total: u64, item: Self) -> Self {
        // A circle of names grows forever; the total alone is enough then.
        let deep = item.depth() > 16;
        Self { total: if deep { u64::MAX } else { total }, item: (!deep).then(|| Box::new(item)) }
    }

    fn depth(&self) -> usize {
        self.item.as_ref().map_or(0, |item| 1 + item.depth())
    }

    fn item(&self) -> Self {
        self.item.as_ref().map_or_else(|| self.clone(), |item| Self::clone(item))
    }

    /// Either of two.
    fn or(self, other: Self) -> Self {
        let total = self.total.max(other.total);
        if self.item.is_none() && other.item.is_none() {
            return Self { total, item: None };
        }
        let item = self.item().or(other.item());
        Self::of(total, item)
    }

    /// Both in one.
    fn and(self, other: Self) -> Self {
        let total = self.total.saturating_add(other.total);
        Self { total, ..self.or(other) }
    }
}

/// What is bound to names: in one rule, or to a rule's own.
type Bound<'a> = BTreeMap<(Option<usize>, &'a str), Size>;

/// One step of a reference.
enum Step<'a> {
    Name(&'a str),
    Index(&'a Expr),
}

/// What of the input's parts is a list of texts, no single one.
const LISTS: [&str; 3] = ["roles", "scopes", "headers"];
/// What of the input's parts may be anything: a tool's arguments.
const ANYTHING: &str = "arguments";

struct Reckoning<'a> {
    names: &'a Names<'a>,
    bound: Bound<'a>,
    /// The rule that is reckoned.
    rule: usize,
    /// A line at which something is too large.
    too_large: Option<u32>,
    /// A name that nothing binds, as far as is known in this round.
    unbound: Option<(u32, &'a str)>,
}

/// Refuses a text that builds what may be too large.
pub(crate) fn judge(text: &Text, module: &Module, names: &Names<'_>) -> Result<(), Wrong> {
    let mut reckoning = Reckoning { names, bound: Bound::new(), rule: 0, too_large: None, unbound: None };
    for _ in 0..ROUNDS {
        let before = reckoning.bound.clone();
        reckoning.unbound = None;
        for (number, rule) in module.policy.iter().enumerate() {
            reckoning.rule = number;
            reckoning.rule(rule, module);
            if let Some(line) = reckoning.too_large {
                return Err(text.wrong(line, "builds a value that may become too large: a list of lists, or a list many times over"));
            }
        }
        if reckoning.bound == before {
            // At each request it would be an error, and deny.
            let unbound =
                reckoning.unbound.map(|(line, name)| text.wrong(line, format!("`{name}` is bound by nothing here and names no rule")));
            return unbound.map_or(Ok(()), Err);
        }
    }
    Err(text.wrong(1, "it cannot be told how large what it builds becomes"))
}

impl<'a> Reckoning<'a> {
    fn rule(&mut self, rule: &'a Rule, module: &'a Module) {
        let Some(name) = tree::name(rule) else { return };
        let value = match rule {
            Rule::Default { value, .. } => self.expr(value, false, module),
            Rule::Spec { head, bodies, .. } => {
                if let RuleHead::Func { args, .. } = head {
                    args.iter().for_each(|arg| self.bind(arg, &Size::scalar()));
                }
                for body in bodies {
                    self.query(&body.query, module);
                }
                let values = self.values(head, bodies, module);
                match head {
                    RuleHead::Set { key, .. } => {
                        let key = key.as_ref().map_or(Size::scalar(), |key| self.expr(key, false, module));
                        Size::of(key.total.saturating_mul(TURNS), key)
                    }
                    RuleHead::Compr { refr, .. } => match refr.as_ref() {
                        Expr::RefBrack { index, .. } => {
                            let entry = self.expr(index, false, module).and(values);
                            Size::of(entry.total.saturating_mul(TURNS), entry)
                        }
                        _ => values,
                    },
                    RuleHead::Func { .. } => values,
                }
            }
        };
        self.hold(&value, rule.span().line);
        self.bind_as(None, name, value);
    }

    /// What a rule's head and its `else`s give.
    fn values(&mut self, head: &'a RuleHead, bodies: &'a [RuleBody], module: &'a Module) -> Size {
        let (RuleHead::Compr { assign, .. } | RuleHead::Func { assign, .. }) = head else { return Size::scalar() };
        let assigned: Vec<&RuleAssign> = assign.iter().chain(bodies.iter().filter_map(|body| body.assign.as_ref())).collect();
        assigned.into_iter().fold(Size::scalar(), |size, assign| size.or(self.expr(&assign.value, false, module)))
    }

    fn query(&mut self, query: &'a Query, module: &'a Module) {
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    let item = self.expr(collection, false, module).item();
                    for pattern in key.iter().chain([value]) {
                        self.bind(pattern, &item);
                        self.expr(pattern, false, module);
                    }
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => drop(self.expr(expr, false, module)),
                Literal::Every { key, value, domain, query, .. } => {
                    let item = self.expr(domain, false, module).item();
                    for name in key.iter().chain([value]) {
                        self.bind_as(Some(self.rule), name.text(), item.clone());
                    }
                    self.query(query, module);
                }
            }
        }
    }

    /// The size of an expression. `counted`: each evaluation of it is a turn of a loop that was counted already.
    fn expr(&mut self, expr: &'a Expr, counted: bool, module: &'a Module) -> Size {
        let size = match expr {
            Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => Size::scalar(),
            Expr::Var { span, .. } => self.var(span.text(), span.line),
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                let sizes: Vec<_> = items.iter().map(|item| self.expr(item, counted, module)).collect();
                Self::all(sizes)
            }
            Expr::Object { fields, .. } => {
                let sizes: Vec<_> = fields
                    .iter()
                    .flat_map(|(_, key, value)| [self.expr(key, counted, module), self.expr(value, counted, module)])
                    .collect();
                Self::all(sizes)
            }
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.query(query, module);
                let term = self.expr(term, true, module);
                Self::repeated(term, counted)
            }
            Expr::ObjectCompr { key, value, query, .. } => {
                self.query(query, module);
                let entry = self.expr(key, true, module).and(self.expr(value, true, module));
                Self::repeated(entry, counted)
            }
            Expr::Call { fcn, params, .. } => {
                let given: Vec<_> = params.iter().map(|param| self.expr(param, counted, module)).collect();
                self.call(&tree::path(fcn).unwrap_or_default(), given, module)
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr, counted, module),
            Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr, module),
            Expr::BinExpr { op, lhs, rhs, .. } => {
                let (one, two) = (self.expr(lhs, counted, module), self.expr(rhs, counted, module));
                match op {
                    BinOp::Union => one.and(two),
                    BinOp::Intersection => one.or(two),
                }
            }
            Expr::ArithExpr { op, lhs, rhs, span, .. } => {
                let (one, two) = (self.expr(lhs, counted, module), self.expr(rhs, counted, module));
                if *op != ArithOp::Mul {
                    one.or(two)
                } else {
                    // Only numbers can be multiplied, and none of the input's is long.
                    let factors = |size: &Size| if size.total == GIVEN { 1 } else { size.total };
                    let total = factors(&one).saturating_add(factors(&two));
                    if total > MOST_FACTORS {
                        self.too_large = Some(span.line);
                    }
                    Size { total, item: None }
                }
            }
            Expr::BoolExpr { lhs, rhs, .. } => {
                self.expr(lhs, counted, module);
                self.expr(rhs, counted, module);
                Size::scalar()
            }
            Expr::AssignExpr { lhs, rhs, .. } => {
                let (one, two) = (self.expr(lhs, counted, module), self.expr(rhs, counted, module));
                self.bind(lhs, &two);
                self.bind(rhs, &one);
                Size::scalar()
            }
            Expr::Membership { key, value, collection, .. } => {
                for part in key.iter().chain([value, collection]) {
                    self.expr(part, counted, module);
                }
                Size::scalar()
            }
        };
        self.hold(&size, expr.span().line);
        size
    }

    /// A list of these.
    fn all(sizes: Vec<Size>) -> Size {
        let total = sizes.iter().fold(1_u64, |total, size| total.saturating_add(size.total));
        Size::of(total, sizes.into_iter().reduce(Size::or).unwrap_or(Size::scalar()))
    }

    fn repeated(term: Size, counted: bool) -> Size {
        let turns = if counted { 1 } else { TURNS };
        Size::of(term.total.saturating_mul(turns).saturating_add(1), term)
    }

    fn var(&mut self, name: &'a str, line: u32) -> Size {
        if name == "input" {
            return Size::given();
        }
        let (local, global) = (self.bound.get(&(Some(self.rule), name)), self.bound.get(&(None, name)));
        match (local, global) {
            (Some(local), Some(global)) => local.clone().or(global.clone()),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => {
                if !name.starts_with('_') && !self.names.contains_key(name) {
                    self.unbound = self.unbound.or(Some((line, name)));
                }
                Size::scalar()
            }
        }
    }

    /// `input.caller.roles[_]`: of the input, what is two names down and none of the lists is one text.
    fn reference(&mut self, expr: &'a Expr, module: &'a Module) -> Size {
        let mut steps = Vec::new();
        let mut root = expr;
        loop {
            match root {
                Expr::RefDot { refr, field, .. } => {
                    steps.push(Step::Name(field.0.text()));
                    root = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    self.expr(index, false, module);
                    // With an escape in it, it is not what it is read as here.
                    let named = match index.as_ref() {
                        Expr::String { span, .. } if !span.text().contains('\\') => Some(span.text()),
                        _ => None,
                    };
                    steps.push(named.map_or(Step::Index(index), Step::Name));
                    root = refr;
                }
                _ => break,
            }
        }
        steps.reverse();
        let mut size = self.expr(root, false, module);
        let input = matches!(root, Expr::Var { span, .. } if span.text() == "input");
        let known = match steps.as_slice() {
            [_, Step::Name(ANYTHING), ..] if input => None,
            [_, Step::Name(list), ..] if input && !LISTS.contains(list) => Some(Size::scalar()),
            [_, Step::Name(_)] if input => Some(Size::of(GIVEN, Size::scalar())),
            [_, Step::Name(_), ..] if input => Some(Size::scalar()),
            _ => None,
        };
        for step in &steps {
            size = size.item();
            if let Step::Index(index) = step {
                // `set[x]` gives `x` the items.
                self.bind(index, &size);
            }
        }
        known.unwrap_or(size)
    }

    fn call(&mut self, name: &str, given: Vec<Size>, module: &'a Module) -> Size {
        if let Some((name, Named::Function(_))) = self.names.get_key_value(name) {
            for (number, rule) in module.policy.iter().enumerate().filter(|(_, rule)| tree::name(rule) == Some(name)) {
                let (Rule::Spec { head: RuleHead::Func { args, .. }, .. } | Rule::Default { args, .. }) = rule.as_ref() else { continue };
                let caller = std::mem::replace(&mut self.rule, number);
                for (arg, size) in args.iter().zip(&given) {
                    self.bind(arg, size);
                }
                self.rule = caller;
            }
            return self.bound.get(&(None, *name)).cloned().unwrap_or(Size::scalar());
        }
        let first = given.first().cloned().unwrap_or(Size::scalar());
        match builtins::find(name).map(|(_, gives)| gives) {
            Some(Gives::Scalar) => Size::scalar(),
            Some(Gives::Pieces) => Size::of(GIVEN, Size::scalar()),
            Some(Gives::First) => first,
            Some(Gives::ItemOrLast) => given.last().cloned().map_or(first.clone(), |last| first.item().or(last)),
            Some(Gives::Sum) => given.into_iter().reduce(Size::and).unwrap_or(Size::scalar()),
            // Refused before this.
            None => Size { total: u64::MAX, item: None },
        }
    }

    /// Binds the names of a pattern to what it is matched with.
    fn bind(&mut self, pattern: &'a Expr, size: &Size) {
        match pattern {
            Expr::Var { span, .. } => self.bind_as(Some(self.rule), span.text(), size.clone()),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| self.bind(item, &size.item())),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| self.bind(value, &size.item())),
            _ => {}
        }
    }

    fn bind_as(&mut self, rule: Option<usize>, name: &'a str, size: Size) {
        let bound = self.bound.entry((rule, name)).or_insert(Size::scalar());
        *bound = bound.clone().or(size);
    }

    fn hold(&mut self, size: &Size, line: u32) {
        if size.total > MOST && self.too_large.is_none() {
            self.too_large = Some(line);
        }
    }
}
