use proptest::prelude::*;

use super::*;
use crate::{host::HostPattern, platform::HostTemplate};

fn claim<T>(tenant: &str, thing: T) -> Claim<T> {
    Claim { tenant: tenant.parse().unwrap(), thing }
}

fn host(tenant: &str, pattern: &str) -> Claim<Reach> {
    claim(tenant, Reach { pattern: pattern.parse().unwrap(), shared: false })
}

fn pooled(tenant: &str, pattern: &str) -> Claim<Reach> {
    claim(tenant, Reach { pattern: pattern.parse().unwrap(), shared: true })
}

fn settled(claims: &[Claim<Reach>], held: &Holdings<Reach>) -> Holdings<Reach> {
    settle::<_, Patterns>(claims.iter().cloned(), held)
}

#[test]
fn s17_the_incumbent_keeps_its_issuer_and_the_newcomer_is_refused() {
    let held = settle::<_, Equal<_>>([claim("acme", "https://a")].into_iter(), &Holdings::new());
    let after = settle::<_, Equal<_>>([claim("aaa", "https://a"), claim("acme", "https://a")].into_iter(), &held);
    assert_eq!(after, Holdings::from([claim("acme", "https://a")]));
}

#[test]
fn s17_a_tie_at_a_cold_start_closes_only_what_is_contested() {
    let claims = [claim("acme", "https://a"), claim("evil", "https://a"), claim("acme", "https://own")];
    assert_eq!(settle::<_, Equal<_>>(claims.into_iter(), &Holdings::new()), Holdings::from([claim("acme", "https://own")]));
}

#[test]
fn s17_what_an_incumbent_gives_up_goes_to_who_still_asks() {
    let held = settled(&[host("acme", "*.acme.com")], &Holdings::new());
    let refused = settled(&[host("acme", "*.acme.com"), host("globex", "www.acme.com")], &held);
    assert!(!refused.contains(&host("globex", "www.acme.com")));
    assert!(settled(&[host("globex", "www.acme.com")], &refused).contains(&host("globex", "www.acme.com")));
}

#[test]
fn s17_a_refused_newcomer_takes_nothing_from_a_third() {
    let held = settled(&[host("acme", "a.example.com")], &Holdings::new());
    let after = settled(&[host("acme", "a.example.com"), host("evil", "*.example.com"), host("globex", "b.example.com")], &held);
    assert_eq!(after, Holdings::from([host("acme", "a.example.com"), host("globex", "b.example.com")]));
}

#[test]
fn s21_overlap_not_equality_is_a_conflict() {
    for (one, two) in [
        ("a.example.com", "a.example.com"),
        ("a.example.com", "*.example.com"),
        ("x.y.example.com", "*.example.com"),
        ("*.example.com", "*.example.com"),
        ("*.example.com", "*.sub.example.com"),
        ("*.com", "a.example.com"),
    ] {
        assert_eq!(settled(&[host("acme", one), host("globex", two)], &Holdings::new()).len(), 0, "{one} {two}");
        assert_eq!(settled(&[host("acme", one), host("acme", two)], &Holdings::new()).len(), if one == two { 1 } else { 2 });
    }
    for (one, two) in [("example.com", "*.example.com"), ("a.example.com", "b.example.com"), ("*.aexample.com", "*.example.com")] {
        assert_eq!(settled(&[host("acme", one), host("globex", two)], &Holdings::new()).len(), 2, "{one} {two}");
    }
}

#[test]
fn s3_upstreams_are_shared_only_where_both_tenants_are_in_the_pool() {
    let both = [pooled("acme", "*.shared.internal"), pooled("globex", "*.shared.internal")];
    let held = settled(&both, &Holdings::new());
    assert_eq!(held.len(), 2);
    let mixed = settled(&[pooled("acme", "*.shared.internal"), host("globex", "a.shared.internal")], &Holdings::new());
    assert_eq!(mixed.len(), 0, "a tie");
    // globex leaves the pool: acme did not move, so acme is the incumbent.
    let left = settled(&[pooled("acme", "*.shared.internal"), host("globex", "*.shared.internal")], &held);
    assert_eq!(left, Holdings::from([pooled("acme", "*.shared.internal")]));
}

#[test]
fn s21_a_host_of_the_platforms_template_belongs_to_the_tenant_it_names() {
    let acme = "acme".parse().unwrap();
    let template = HostTemplate { prefix: String::new(), suffix: ".api.example.com".to_owned() };
    let conflict = |template: &HostTemplate, pattern: &str| template_conflict(template, &pattern.parse().unwrap(), &acme);
    for pattern in ["globex.api.example.com", "*.api.example.com", "*.example.com", "*.com"] {
        assert!(conflict(&template, pattern), "{pattern}");
    }
    for pattern in ["acme.api.example.com", "a.b.api.example.com", "api.example.com", "*.acme.api.example.com", "*.globex.api.example.com"]
    {
        assert!(!conflict(&template, pattern), "{pattern}");
    }
    let prefixed = HostTemplate { prefix: "eu.".to_owned(), suffix: ".api.example.com".to_owned() };
    for pattern in ["eu.globex.api.example.com", "*.globex.api.example.com", "*.api.example.com"] {
        assert!(conflict(&prefixed, pattern), "{pattern}");
    }
    for pattern in ["us.globex.api.example.com", "*.acme.api.example.com", "*.eu.globex.api.example.com", "*.us.globex.api.example.com"] {
        assert!(!conflict(&prefixed, pattern), "{pattern}");
    }
}

fn pattern() -> impl Strategy<Value = HostPattern> {
    (any::<bool>(), prop::collection::vec("[ab]", 1..4)).prop_map(|(wildcard, labels)| {
        let domain = labels.join(".");
        if wildcard { format!("*.{domain}") } else { domain }.parse().unwrap()
    })
}

fn claims() -> impl Strategy<Value = Vec<Claim<Reach>>> {
    let one = (0_usize..4, pattern(), any::<bool>()).prop_map(|(tenant, pattern, shared)| Claim {
        tenant: ["t-a", "t-b", "t-c", "t-d"][tenant].parse().unwrap(),
        thing: Reach { pattern, shared },
    });
    prop::collection::vec(one, 0..12)
}

proptest! {
    /// What the tree says is what comparing every pair says.
    #[test]
    fn nothing_granted_overlaps_and_nothing_held_is_lost(first in claims(), second in claims()) {
        let held = settled(&first, &Holdings::new());
        let after = settled(&second, &held);
        for claim in &after {
            for other in after.iter().filter(|other| other.tenant != claim.tenant) {
                let overlap = claim.thing.pattern.overlaps(&other.thing.pattern);
                prop_assert!(!overlap || (claim.thing.shared && other.thing.shared), "{claim:?} {other:?}");
            }
        }
        for claim in second.iter().filter(|claim| held.contains(claim)) {
            prop_assert!(after.contains(claim));
        }
        // A refusal has a reason: somebody else's claim overlaps.
        for claim in second.iter().filter(|claim| !after.contains(claim)) {
            prop_assert!(second.iter().any(|other| other.tenant != claim.tenant && other.thing.pattern.overlaps(&claim.thing.pattern)));
        }
    }

    #[test]
    fn the_template_conflict_is_what_matching_some_host_says(pattern in pattern(), prefix in prop::sample::select(vec!["", "a.", "b.a."])) {
        let template = HostTemplate { prefix: prefix.to_owned(), suffix: ".a.b".to_owned() };
        let own = "a".parse().unwrap();
        let some = ["b", "x", "y"].iter().any(|label| pattern.matches(&format!("{prefix}{label}.a.b").parse().unwrap()));
        prop_assert_eq!(template_conflict(&template, &pattern, &own), some);
    }
}
