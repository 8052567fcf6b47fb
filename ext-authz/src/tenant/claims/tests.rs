use serde_json::json;

use super::*;
use crate::tenant::testing::{NOW_S, claims, issuer, with};
use bulkhead_tenancy::issuer::{KeySource, TenantClaim};

const ISSUER: &str = "https://auth.example/realms/tenant-acme";

fn plain() -> Issuer {
    issuer(ISSUER, KeySource::Inline(Vec::new()))
}

fn read_by(issuer: &Issuer, others: Value) -> Result<Claims, &'static str> {
    Claims::read(with(claims(ISSUER), others).as_object().unwrap(), issuer).map_err(Unfit::why)
}

fn read(others: Value) -> Result<Claims, &'static str> {
    read_by(&plain(), others)
}

#[test]
fn s19_a_token_without_exp_is_refused() {
    assert_eq!(read(json!({"exp": null})), Err("no `exp`"));
}

#[test]
fn dates_are_numbers_fractions_included_and_nothing_else() {
    assert_eq!(read(json!({"exp": NOW_S as f64 + 0.75})).unwrap().expires, NOW_S);
    assert_eq!(read(json!({"nbf": NOW_S as f64 + 0.25})).unwrap().not_before, Some(NOW_S + 1));
    for claim in ["exp", "nbf", "iat"] {
        for bad in [json!("1800000000"), json!(true), json!([1_800_000_000]), json!({}), json!(-1), json!(1e300), json!(u64::MAX)] {
            assert!(read(json!({claim: bad.clone()})).is_err(), "{claim}: {bad}");
        }
    }
}

#[test]
fn an_audience_counts_only_where_one_is_configured() {
    assert!(read(json!({"aud": "whoever"})).is_ok());
    assert!(read(json!({})).is_ok());
    let mut issuer = plain();
    issuer.audiences = ["gateway".to_owned(), "other".to_owned()].into();
    for (aud, fine) in [
        (json!("gateway"), true),
        (json!(["account", "other"]), true),
        (json!(null), false),
        (json!("account"), false),
        (json!([]), false),
        (json!("Gateway"), false),
        (json!("gateway "), false),
        (json!("gateway,other"), false),
        (json!(["gateway", 5]), false),
        (json!({"gateway": true}), false),
        (json!(7), false),
    ] {
        assert_eq!(read_by(&issuer, json!({"aud": aud.clone()})).is_ok(), fine, "{aud}");
    }
}

#[test]
fn the_client_is_azp_else_client_id_and_both_must_be_one() {
    let client = |others| read(others).map(|claims| claims.client);
    assert_eq!(client(json!({})), Ok(Some("app".into())));
    assert_eq!(client(json!({"azp": null, "client_id": "cc"})), Ok(Some("cc".into())));
    assert_eq!(client(json!({"client_id": "app"})), Ok(Some("app".into())));
    assert_eq!(client(json!({"azp": null})), Ok(None));
    assert_eq!(client(json!({"client_id": "other"})), Err("`azp` and `client_id` differ"));
    assert!(client(json!({"client_id": 5})).is_err());
}

#[test]
fn roles_are_gathered_from_every_path_and_only_texts_are_roles() {
    let claims = read(json!({"roles": ["b", 1, "a", null], "realm_access": {"roles": ["c", "a"]}})).unwrap();
    assert_eq!(*claims.roles, ["a", "b", "c"]);
    assert_eq!(*read(json!({"roles": "single"})).unwrap().roles, ["single"]);
    assert!(read(json!({"roles": {"admin": true}, "realm_access": ["roles"]})).unwrap().roles.is_empty());
    assert!(read(json!({"roles": null, "realm_access.roles": ["admin"]})).unwrap().roles.is_empty());
}

#[test]
fn scopes_come_from_scope_else_scp() {
    assert_eq!(*read(json!({"scope": "b  a b"})).unwrap().scopes, ["a", "b"]);
    assert_eq!(*read(json!({"scope": null, "scp": ["y", "x"]})).unwrap().scopes, ["x", "y"]);
    assert_eq!(*read(json!({"scope": null, "scp": "x y"})).unwrap().scopes, ["x", "y"]);
    assert!(read(json!({"scope": 1})).is_err());
}

#[test]
fn the_tenant_claim_is_a_text_or_nothing() {
    for bad in [json!(1), json!(["acme"]), json!({}), json!(false)] {
        assert!(read(json!({"tenant_id": bad})).is_err());
    }
    let null = Claims::read(json!({"exp": NOW_S, "tenant_id": null}).as_object().unwrap(), &plain());
    assert!(null.is_err());
    let mut own = plain();
    own.tenant_claim = TenantClaim { name: "org".to_owned(), required: false };
    assert_eq!(read_by(&own, json!({"org": "acme", "tenant_id": 5})).unwrap().tenant.as_deref(), Some("acme"));
}
