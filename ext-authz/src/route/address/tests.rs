use super::*;
use crate::fixture;

fn name(host: &str) -> Host {
    Host::of_authority(host).unwrap()
}

/// Tenant, API and rest that are named, or nothing where names disagree.
fn named(snapshot: &Snapshot, host: &str, path: &str, context: &Context<'_>) -> Option<(Option<String>, Option<String>, String)> {
    let host = name(host);
    let address = Address::of(snapshot, &host, SafePath::judge(path).unwrap(), context);
    address.consistent.then_some((address.tenant.map(str::to_owned), address.api.map(str::to_owned), address.rest.to_owned()))
}

fn some(tenant: &str, api: &str, rest: &str) -> Option<(Option<String>, Option<String>, String)> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some((text(tenant), text(api), rest.to_owned()))
}

fn context<'a>(tenant: Option<&'a str>, api: Option<&'a str>) -> Context<'a> {
    Context { tenant, api, ..Context::default() }
}

const NOWHERE: &str = "gateway.example.com";

#[test]
fn s20_a_path_names_tenant_and_api() {
    let snapshot = fixture::own();
    let of = |path| named(&snapshot, NOWHERE, path, &Context::default());
    assert_eq!(of("/acme/billing-api/invoices/7"), some("acme", "billing-api", "/invoices/7"));
    assert_eq!(of("/acme/billing-api"), some("acme", "billing-api", ""));
    assert_eq!(of("/acme/billing-api/"), some("acme", "billing-api", "/"));
    assert_eq!(of("/acme"), some("acme", "", ""));
    assert_eq!(of("/acme/"), some("acme", "", "/"));
    assert_eq!(of("/"), some("", "", "/"));
    // Names are read as they stand: neither case nor encoding is forgiven, and whoever is not there is named all the same.
    assert_eq!(of("/%61cme/billing-api"), some("%61cme", "billing-api", ""));
    assert_eq!(of("/ACME/billing-api"), some("ACME", "billing-api", ""));
    assert_eq!(of("/nobody/billing-api"), some("nobody", "billing-api", ""));
}

#[test]
fn s20_with_an_api_template_a_path_names_no_tenant() {
    let snapshot = fixture::snapshot("  addressing: { path: '/{api}' }");
    assert_eq!(named(&snapshot, NOWHERE, "/billing-api/x", &Context::default()), some("", "billing-api", "/x"));
    // Where the host names the API already, the path names nothing.
    assert_eq!(
        named(&snapshot, "hosted.acme.example.com", "/billing-api/x", &Context::default()),
        some("acme", "hosted-api", "/billing-api/x")
    );
    assert_eq!(
        named(&snapshot, NOWHERE, "/globex/x", &context(Some("acme"), Some("billing-api"))),
        some("acme", "billing-api", "/globex/x")
    );
}

#[test]
fn s20_a_host_template_names_a_tenant_in_one_whole_label() {
    let snapshot = fixture::snapshot("  addressing: { host: '{tenant}.api.example.com', path: '/{api}' }");
    let of = |host| named(&snapshot, host, "/billing-api/x", &Context::default());
    assert_eq!(of("acme.api.example.com"), some("acme", "billing-api", "/x"));
    assert_eq!(of("ACME.API.example.com:8443"), some("acme", "billing-api", "/x"));
    assert_eq!(of("eu.acme.api.example.com"), some("", "billing-api", "/x"));
    assert_eq!(of("api.example.com"), some("", "billing-api", "/x"));
    assert_eq!(of("acme.api.example.com.evil.com"), some("", "billing-api", "/x"));
}

#[test]
fn s20_a_claimed_host_names_tenant_and_api() {
    let snapshot = fixture::own();
    let of = |host, path| named(&snapshot, host, path, &Context::default());
    assert_eq!(of("hosted.acme.example.com", "/"), some("acme", "hosted-api", "/"));
    assert_eq!(of("hosted.acme.example.com:443", "/x/y"), some("acme", "hosted-api", "/x/y"));
    assert_eq!(of("globex.example.com", "/x"), some("globex", "inventory-api", "/x"));
}

#[test]
fn s20_at_a_named_api_a_path_names_something_only_with_a_tenant_in_it() {
    let snapshot = fixture::own();
    let of = |path| named(&snapshot, "hosted.acme.example.com", path, &Context::default());
    // An ordinary path of the API.
    assert_eq!(of("/users/7/x"), some("acme", "hosted-api", "/users/7/x"));
    assert_eq!(of("/users"), some("acme", "hosted-api", "/users"));
    assert_eq!(of("/acme"), some("acme", "hosted-api", "/acme"));
    // The template, in agreement.
    assert_eq!(of("/acme/hosted-api/x"), some("acme", "hosted-api", "/x"));
    // The template with another tenant, or another API of one's own.
    assert_eq!(of("/globex/inventory-api/x"), None);
    assert_eq!(of("/globex/hosted-api"), None);
    assert_eq!(of("/acme/billing-api"), None);
}

#[test]
fn s20_a_wildcard_claim_names_its_api_on_every_host_below_it() {
    let snapshot = fixture::own();
    let of = |host, path| named(&snapshot, host, path, &Context::default());
    assert_eq!(of("a.b.wild.acme.example.com", "/x"), some("acme", "wild-api", "/x"));
    assert_eq!(of("a.wild.acme.example.com", "/acme/wild-api/x"), some("acme", "wild-api", "/x"));
    assert_eq!(of("wild.acme.example.com", "/x/y"), some("x", "y", ""));
    assert_eq!(of("a.wild.acme.example.com", "/acme/billing-api"), None);
    assert_eq!(of("a.wild.acme.example.com", "/globex/wild-api"), None);
}

#[test]
fn s20_context_path_and_host_must_agree() {
    let snapshot = fixture::own();
    let acme = context(Some("acme"), None);
    assert_eq!(named(&snapshot, NOWHERE, "/acme/billing-api/x", &acme), some("acme", "billing-api", "/x"));
    assert_eq!(named(&snapshot, NOWHERE, "/globex/inventory-api", &acme), None);
    assert_eq!(named(&snapshot, "globex.example.com", "/x", &acme), None);
    let billing = context(Some("acme"), Some("billing-api"));
    assert_eq!(named(&snapshot, NOWHERE, "/x/y", &billing), some("acme", "billing-api", "/x/y"));
    assert_eq!(named(&snapshot, NOWHERE, "/acme/billing-api/y", &billing), some("acme", "billing-api", "/y"));
    assert_eq!(named(&snapshot, NOWHERE, "/acme/hosted-api/y", &billing), None);
    assert_eq!(named(&snapshot, NOWHERE, "/globex/billing-api/y", &billing), None);
    assert_eq!(named(&snapshot, "hosted.acme.example.com", "/x", &billing), None);
    // A name left empty names nobody, and does not mean everybody.
    assert_eq!(named(&snapshot, NOWHERE, "/acme/billing-api", &context(Some(""), None)), None);
}

#[test]
fn s20_a_host_that_is_none_is_400() {
    for authority in [
        "",
        "acme.example.com.",
        "a,b",
        "user@acme.example.com",
        "acme_x.example.com",
        "acme.example.com:",
        "acme.example.com:0",
        "acme.example.com:99999",
        "acme.example.com:80:80",
        "acmé.example.com",
        "acme .example.com",
        "acme%2eexample.com",
        "[::1",
        "[::1]x",
        "[::1]:0",
        "[acme.example.com]",
        "::1",
    ] {
        assert_eq!(Host::of_authority(authority).map_err(|denial| denial.reason), Err(Reason::BadPath), "{authority}");
    }
}

#[test]
fn s20_an_address_in_place_of_a_name_reaches_the_gateway_and_names_nothing() {
    let snapshot = fixture::own();
    for authority in ["127.0.0.1:10000", "[::1]", "[2001:db8::1]:10000"] {
        assert_eq!(named(&snapshot, authority, "/acme/billing-api", &Context::default()), some("acme", "billing-api", ""), "{authority}");
    }
}
