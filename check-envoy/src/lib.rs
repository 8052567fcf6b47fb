//! Reads an Envoy configuration (a bootstrap, a listener, a connection manager; YAML or JSON) and names, with line, what in it breaks the
//! rules that keep tenants apart, and how to mend it. What Envoy says of itself (`GET /config_dump`) it reads as well, and that is all of it; what a file does not hold (routes by
//! RDS, clusters by CDS) it cannot judge. Objects of Istio and Envoy
//! Gateway hold a part of what their Envoy gets: that part is judged, and it is said that the rest is not there.

use std::{collections::BTreeSet, fmt, sync::Arc};

use bulkhead_tenancy::{
    fault::Fault,
    tree::{Node, Value},
    yaml::{self, Bounds},
};

mod answers;
mod authorizer;
mod chain;
mod clusters;
pub mod command;
mod dump;
mod fragments;
mod guard;
mod limiter;
mod listener;
mod memory;
mod names;
mod processor;
mod routes;
mod runtime;
mod typed;
mod view;

#[cfg(test)]
mod tests;

pub use fragments::Unjudged;
use view::{View, snake, type_of};

/// One thing that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The line, from 1.
    pub line: u32,
    /// The rule: `S8`.
    pub rule: &'static str,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub mend: &'static str,
}

impl fmt::Display for Finding {
    /// `LINE: RULE: WHAT; MEND`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.line, self.rule, self.what, self.mend)
    }
}

/// What is found, in the order of the file.
#[derive(Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn add(&mut self, at: &Node, rule: &'static str, what: impl Into<String>, mend: &'static str) {
        self.0.push(Finding { line: at.line, rule, what: what.into(), mend });
    }

    /// Where a service of ours gives no answer, and its caller is told that all is well.
    pub(crate) fn succeeds(&mut self, config: &Node, filter: &'static str) {
        if let Some(status) = view::succeeds(config) {
            let what =
                format!("status_on_error: without an answer of {filter} a caller, and a cache before him, takes the denial for a success");
            self.add(status, "S9", what, "set a status of 500 or above");
        }
    }

    /// Keys that are there twice: the first is judged, and others may read the last.
    pub(crate) fn repeated(&mut self, document: &Node) {
        document.each(&mut |node| {
            let Value::Mapping(entries) = &node.value else { return };
            let mut seen = BTreeSet::new();
            for entry in entries.iter().filter(|entry| !seen.insert(snake(&entry.key))) {
                let what = format!("`{}` is there twice: which of the two holds cannot be judged", entry.key);
                self.0.push(Finding { line: entry.line, rule: "S9", what, mend: "remove one" });
            }
        });
    }
}

/// What there is to say of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What breaks a rule, in the order of the file.
    pub findings: Vec<Finding>,
    /// Objects that hold a part of a gateway's configuration, and not what the gateway makes of it.
    pub unjudged: Vec<Unjudged>,
}

/// Listeners and clusters that a bootstrap has from elsewhere.
fn dynamic(document: &Node) -> Vec<Unjudged> {
    let kinds = [
        ("dynamic_resources.lds_config", "bootstrap, whose listeners come by LDS,"),
        ("dynamic_resources.cds_config", "bootstrap, whose clusters come by CDS,"),
    ];
    let there = |(field, kind): (&str, &str)| document.get(field).map(|at| Unjudged { line: at.line, kind: kind.to_owned() });
    kinds.into_iter().filter_map(there).collect()
}

/// Checks a configuration.
///
/// # Errors
/// It is not YAML or JSON, or holds neither an HTTP connection manager nor an object of Istio or Envoy Gateway that shapes one.
pub fn check(file: &str, text: &str) -> Result<Checked, Vec<Fault>> {
    let file: Arc<str> = file.into();
    // JSON may be indented by tabs; in YAML none can stand where this would change anything.
    let (mut documents, faults) = yaml::documents(&file, &text.replace('\t', " "), Bounds::OPERATOR);
    if !faults.is_empty() {
        return Err(faults);
    }
    documents.iter_mut().for_each(typed::unwrap);
    let all: Vec<&Node> = documents.iter().collect();
    let mut managers = Vec::new();
    // Clusters have filters, too, behind the router: no chain of a listener.
    let is_manager = |node: &Node| node.get("http_filters").is_some() && type_of(node) != "HttpProtocolOptions";
    dump::in_force(&all, &mut |node| managers.extend(is_manager(node).then_some(node)));
    let mut findings = Findings::default();
    let mut unjudged: Vec<Unjudged> = documents.iter().filter_map(|document| fragments::judge(document, &mut findings)).collect();
    if managers.is_empty() && unjudged.is_empty() {
        let what =
            "holds no HTTP connection manager (a mapping with `http_filters`), and no object of Istio or Envoy Gateway that is known";
        return Err(vec![bulkhead_tenancy::place::Place::file(&file).fault(what)]);
    }
    documents.iter().for_each(|document| findings.repeated(document));
    for manager in managers {
        let manager = &*dump::whole(manager, &all);
        listener::judge(manager, &mut findings);
        chain::judge(manager, &all, &mut findings);
        let elsewhere =
            ["rds", "scoped_routes"].into_iter().find_map(|field| manager.get(field)).filter(|_| manager.get("route_config").is_none());
        unjudged.extend(elsewhere.map(|at| Unjudged { line: at.line, kind: "connection manager, whose routes come by RDS,".to_owned() }));
    }
    unjudged.extend(documents.iter().flat_map(dynamic));
    clusters::judge(&all, &mut findings);
    runtime::judge(&all, &mut findings);
    memory::judge(&all, &mut findings);
    let Findings(mut found) = findings;
    found.sort_unstable();
    found.dedup();
    Ok(Checked { findings: found, unjudged })
}
