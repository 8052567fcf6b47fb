use bulkhead_tenancy::{
    catalog::{Catalog, changes_of},
    clock::SystemClock,
};
use std::{fmt::Write, sync::Arc, time::Instant};
fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines().find(|l| l.starts_with("VmRSS")).unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
fn hwm() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines().find(|l| l.starts_with("VmHWM")).unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
fn cpu() -> u64 {
    std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse::<u64>().unwrap() / 1000
}
#[test]
fn scale() {
    let n: usize = std::env::var("N").map_or(1000, |n| n.parse().unwrap());
    let single = std::env::var("SINGLE").is_ok();
    let mut files: Vec<(String,String)> = vec![("platform.yaml".into(), "apiVersion: gostoa.dev/v1alpha1\nkind: Platform\nmetadata: { name: platform }\nspec:\n  routing: contract\n  rateLimit: { requestsPerMinute: 10000000 }\n---\napiVersion: gostoa.dev/v1alpha1\nkind: Plan\nmetadata: { name: standard }\nspec: { rateLimit: { requestsPerMinute: 1000, burstMultiplier: 2.0 } }\n".into())];
    let mut all = String::new();
    let own = |i: usize, extra: &str| {
        let mut t = format!(
            "apiVersion: gostoa.dev/v1alpha1\nkind: UniversalAPIContract\nmetadata: {{ name: c, namespace: tenant-t{i} }}\nspec:\n  version: '1.0'\n  apis:\n"
        );
        for a in 0..4 {
            write!(t, "  - name: api-{a}{extra}\n    upstream: https://api-{a}.t{i}.internal/v1\n    policies:\n    - rateLimit: tier-standard\n    - auth: jwt-keycloak\n    methods: [GET, POST]\n    hosts: [api-{a}.t{i}.example.com]\n    access: {{ roles: [reader, writer] }}\n").unwrap();
        }
        write!(t, "---\napiVersion: gostoa.dev/v1alpha1\nkind: GuardrailPolicy\nmetadata: {{ name: g, namespace: tenant-t{i} }}\nspec:\n  rateLimit: {{ requestsPerMinute: 500, burstMultiplier: 2.0 }}\n  toolAllowlist: [api-0, api-1, api-2]\n").unwrap();
        for s in 0..10 {
            write!(t, "---\napiVersion: gostoa.dev/v1alpha1\nkind: Subscription\nmetadata: {{ name: sub-{s}, namespace: tenant-t{i} }}\nspec:\n  clientId: t{i}-app-{s}\n  rateLimit: {{ requestsPerMinute: 100 }}\n").unwrap();
        }
        t
    };
    for i in 0..n {
        let t = format!(
            "apiVersion: gostoa.dev/v1alpha1\nkind: Tenant\nmetadata: {{ name: t{i} }}\nspec:\n  plan: standard\n  uid: uid-{i}\n  issuers: [ {{ issuer: 'https://auth.example.com/realms/t{i}', audiences: [gateway] }} ]\n  hosts: ['*.t{i}.example.com']\n  upstreams: ['*.t{i}.internal']\n"
        );
        if single {
            all.push_str("---\n");
            all.push_str(&t);
        } else {
            files.push((format!("tenants/t{i}.yaml"), t));
        }
        files.push((format!("namespaces/tenant-t{i}/own.yaml"), own(i, "")));
    }
    if single {
        files.push(("tenants.yaml".into(), all));
    }
    let changes = changes_of(&files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>());
    let op: Vec<_> = changes.iter().filter(|c| c.partition == bulkhead_tenancy::source::PartitionKey::Operator).cloned().collect();
    drop(files);
    let base = rss();
    let mut catalog = Catalog::new(Arc::new(SystemClock));
    let c0 = cpu();
    let t = Instant::now();
    let s = catalog.apply(changes).unwrap();
    eprintln!("load {:?} rss {} -> {} hwm {}", t.elapsed(), base, rss(), hwm());
    let errs: Vec<_> = catalog.faults();
    eprintln!("faults {} {:?}", errs.len(), errs.first().map(|f| f.to_string()));
    assert_eq!(s.tenants().count(), n);
    for r in 0..3 {
        let text = own(7, &format!("x{r}"));
        let ch = changes_of(&[("namespaces/tenant-t7/own.yaml", &text)]);
        let ch = ch[1..].to_vec();
        let c0 = cpu();
        let t = Instant::now();
        catalog.apply(ch).unwrap();
        eprintln!("partition change {:?} cpu {}us", t.elapsed(), cpu() - c0);
    }
    for r in 0..2 {
        let mut op = op.clone();
        if let bulkhead_tenancy::source::Content::Files { files, .. } = &mut op[0].content {
            let f = files.last_mut().unwrap();
            f.text = f.text.replace("gateway", &format!("gw{r}"));
        }
        let c0 = cpu();
        let t = Instant::now();
        catalog.apply(op).unwrap();
        eprintln!("operator change {:?} cpu {}us", t.elapsed(), cpu() - c0);
    }
    let c0 = cpu();
    let t = Instant::now();
    let r = catalog.report().len();
    eprintln!("report {r} {:?} cpu {}us", t.elapsed(), cpu() - c0);
    let c0 = cpu();
    let t = Instant::now();
    let r = catalog.faults().len();
    eprintln!("faults {r} {:?} cpu {}us", t.elapsed(), cpu() - c0);
}
