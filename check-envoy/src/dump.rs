//! What an Envoy says of itself: `GET /config_dump`, or `egctl config envoy-proxy`. There the parts stand apart (listeners, routes by RDS, filters by ECDS, clusters),
//! and what is not in force any more stands beside what is. They are put together as Envoy does.

use std::borrow::Cow;

use bulkhead_tenancy::tree::{Entry, Node, Value};

use crate::view::{View, is_field, type_of};

/// Shows what is in force: neither what Envoy drains or refused, nor its bootstrap's listeners where it dumps them besides.
pub(crate) fn in_force<'n>(documents: &[&'n Node], see: &mut impl FnMut(&'n Node)) {
    let mut listeners = false;
    documents.iter().for_each(|document| document.each(&mut |node| listeners |= type_of(node) == "ListenersConfigDump"));
    documents.iter().for_each(|document| walk(document, listeners, false, see));
}

/// `listeners`: the documents dump them apart; `bootstrap`: the node stands in what Envoy started with, which dumps them besides.
fn walk<'n>(node: &'n Node, listeners: bool, bootstrap: bool, see: &mut impl FnMut(&'n Node)) {
    see(node);
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| walk(item, listeners, bootstrap, see)),
        Value::Mapping(entries) => {
            let bootstrap = bootstrap || (listeners && type_of(node) == "BootstrapConfigDump");
            let past = |key: &str| match key {
                "draining_state" | "drainingState" | "error_state" | "errorState" => true,
                "static_resources" | "staticResources" => bootstrap,
                _ => false,
            };
            entries.iter().filter(|entry| !past(&entry.key)).for_each(|entry| walk(&entry.node, listeners, bootstrap, see));
        }
    }
}

/// A connection manager with its routes and filters in it, where the documents hold them elsewhere.
pub(crate) fn whole<'n>(manager: &'n Node, documents: &[&'n Node]) -> Cow<'n, Node> {
    let mut whole = Cow::Borrowed(manager);
    let named = manager.get("rds.route_config_name").and_then(View::text);
    if let Some(routes) = named.and_then(|name| found(documents, |node| node.get("virtual_hosts").is_some() && is_named(node, name))) {
        put(whole.to_mut(), "route_config", routes);
    }
    let filters = manager.get("http_filters").map_or(&[][..], View::items);
    if !filters.iter().any(|filter| filter.get("config_discovery").is_some()) {
        return whole;
    }
    let filters = filters.iter().map(|filter| {
        let named = filter.get("name").and_then(View::text).filter(|_| filter.get("config_discovery").is_some());
        let discovered =
            named.and_then(|name| found(documents, |node| node.get("ecds_filter").is_some_and(|filter| is_named(filter, name))));
        let mut filter = filter.clone();
        if let Some(config) = discovered.and_then(|dumped| dumped.get("ecds_filter.typed_config")) {
            put(&mut filter, "typed_config", config);
        }
        filter
    });
    let list = Value::List(filters.collect());
    let at = manager.get("http_filters").unwrap_or(manager);
    put(whole.to_mut(), "http_filters", &Node { line: at.line, column: at.column, value: list });
    whole
}

/// A connection manager whose discovered filters are what stands in their place until they come (`default_config`); absent where nothing does.
pub(crate) fn meanwhile(manager: &Node) -> Option<Node> {
    let filters = manager.get("http_filters")?;
    let stands_in = |filter: &Node| filter.get("config_discovery.default_config").is_some();
    if !filters.items().iter().any(stands_in) {
        return None;
    }
    let list = filters.items().iter().map(|filter| {
        let mut filter = filter.clone();
        if let Some(config) = filter.get("config_discovery.default_config").cloned() {
            put(&mut filter, "typed_config", &config);
        }
        filter
    });
    let mut meanwhile = manager.clone();
    put(&mut meanwhile, "http_filters", &Node { line: filters.line, column: filters.column, value: Value::List(list.collect()) });
    Some(meanwhile)
}

fn is_named(node: &Node, name: &str) -> bool {
    node.get("name").and_then(View::text) == Some(name)
}

fn found<'n>(documents: &[&'n Node], is_it: impl Fn(&Node) -> bool) -> Option<&'n Node> {
    let mut found = None;
    in_force(documents, &mut |node| {
        if found.is_none() && is_it(node) {
            found = Some(node);
        }
    });
    found
}

/// Puts a field into a mapping, in the place of what is there of it.
fn put(mapping: &mut Node, field: &str, node: &Node) {
    let Value::Mapping(entries) = &mut mapping.value else { return };
    entries.retain(|entry| !is_field(&entry.key, field));
    entries.push(Entry { key: field.into(), line: node.line, column: node.column, node: node.clone() });
}
