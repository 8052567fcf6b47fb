use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

fn value(metrics: &Metrics, tenant: &str, verdict: &str) -> Option<u64> {
    let text = metrics.render();
    let series = format!("decisions_total{{tenant_id=\"{tenant}\",verdict=\"{verdict}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map(|count| count.parse().unwrap())
}

#[test]
fn every_count_is_there_and_tenants_past_the_bound_share_one_series() {
    let metrics = Metrics::with_tenant_series(2).unwrap();
    let counter = metrics.tenant_counter("decisions_total", "Decisions.", "verdict");
    for name in ["acme", "globex", "initech", "hooli", "acme", "initech"] {
        counter.add_to(Some(&tenant(name)), "allow", 1);
    }
    counter.add_to(Some(&tenant("acme")), "role", 5);
    counter.add_to(None, "invalid_token", 1);
    assert_eq!(value(&metrics, "acme", "allow"), Some(2));
    assert_eq!(value(&metrics, "acme", "role"), Some(5));
    assert_eq!(value(&metrics, "globex", "allow"), Some(1));
    assert_eq!(value(&metrics, OTHER, "allow"), Some(3));
    assert_eq!(value(&metrics, UNRESOLVED, "invalid_token"), Some(1));
    for name in ["initech", "hooli"] {
        assert!(!metrics.render().contains(name), "{name} is past the bound");
    }
}

#[test]
fn a_tenant_has_its_own_series_in_all_counters_or_in_none() {
    let metrics = Metrics::with_tenant_series(1).unwrap();
    let first = metrics.tenant_counter("first_total", "First.", "verdict");
    let second = metrics.tenant_counter("decisions_total", "Second.", "verdict");
    first.add_to(Some(&tenant("acme")), "allow", 1);
    second.add_to(Some(&tenant("globex")), "allow", 1);
    second.add_to(Some(&tenant("acme")), "allow", 1);
    assert_eq!((value(&metrics, OTHER, "allow"), value(&metrics, "acme", "allow")), (Some(1), Some(1)));
}

#[test]
fn ten_thousand_tenants_make_no_more_series_than_the_bound() {
    let metrics = Metrics::with_tenant_series(10).unwrap();
    let counter = metrics.tenant_counter("decisions_total", "Decisions.", "verdict");
    for n in 0..10_000 {
        counter.add_to(Some(&tenant(&format!("t{n}"))), "allow", 1);
    }
    let series = metrics.render().lines().filter(|line| line.starts_with("decisions_total{")).count();
    assert_eq!(series, 11);
    assert_eq!(value(&metrics, OTHER, "allow"), Some(9_990));
}

#[test]
fn nothing_is_lost_between_threads() {
    let metrics = Metrics::with_tenant_series(4).unwrap();
    let counter = metrics.tenant_counter("decisions_total", "Decisions.", "verdict");
    let names = ["acme", "globex", "initech", "hooli", "umbrella", "stark"].map(tenant);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for turn in 0..6_000 {
                    counter.add_to(names.get(turn % names.len()), if turn % 2 == 0 { "allow" } else { "role" }, 1);
                }
            });
        }
    });
    let text = metrics.render();
    let counts = text.lines().filter(|line| line.starts_with("decisions_total{"));
    let sum: u64 = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 24_000);
    assert!(text.contains("tenant_id=\"__other__\""));
}

#[test]
fn the_metrics_of_the_process_are_one() {
    let (first, again) = (Metrics::install().unwrap(), Metrics::install().unwrap());
    metrics::counter!("by_macro_total").increment(1);
    first.tenant_counter("by_counter_total", "Counts.", "verdict").add_to(None, "allow", 1);
    for text in [first.render(), again.render()] {
        assert!(
            text.contains("by_macro_total 1") && text.contains("by_counter_total{tenant_id=\"__unresolved__\",verdict=\"allow\"} 1"),
            "{text}"
        );
    }
}

#[test]
fn a_counter_that_is_read_is_there_from_the_start_and_as_new_as_the_text() {
    let metrics = Metrics::with_tenant_series(1).unwrap();
    let lost = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&lost);
    metrics.read_counter("lost_total", "Lost.", move || read.load(Ordering::Relaxed));
    assert!(metrics.render().lines().any(|line| line == "lost_total 0"), "{}", metrics.render());
    lost.store(7, Ordering::Relaxed);
    assert!(metrics.render().lines().any(|line| line == "lost_total 7"), "{}", metrics.render());
}
