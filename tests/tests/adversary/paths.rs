//! Paths that one reader takes for acme's and another for globex's, or for something outside the contract (S6).

use bulkhead_tests::client::{Connection, Request};

use crate::stage::{Stage, answered, denied, reached, served};

/// Each leaves what acme may reach, for some server that decodes, folds or cuts.
pub(crate) const ESCAPES: [&str; 44] = [
    "/acme/billing-api/../../globex/inventory-api/products",
    "/acme/billing-api/..",
    "/acme/billing-api/.",
    "/acme/billing-api/./invoices",
    "/acme/./billing-api/invoices",
    "/acme/billing-api/%2e%2e/admin",
    "/acme/billing-api/%2E%2e/admin",
    "/acme/billing-api/.%2e/admin",
    "/acme/billing-api/%2e/admin",
    "/acme/billing-api/..;/admin",
    "/acme/billing-api/..;a=b/admin",
    "/acme/billing-api/.;/admin",
    "/acme/billing-api/;/admin",
    "/acme/billing-api/%2e%2e%3b/admin",
    "/acme/billing-api/..%2fadmin",
    "/acme/billing-api/..%5cadmin",
    "/acme/billing-api/..\\admin",
    "/acme/billing-api\\..\\..\\globex",
    "/acme/billing-api/a%2Fb",
    "/acme/billing-api/a%5Cb",
    "/acme/billing-api/a%00b",
    "/acme/billing-api/a%0d%0ax",
    "/acme/billing-api/%252e%252e/admin",
    "/acme/billing-api/%25252e%25252e/admin",
    "/acme/billing-api/a%252fb",
    "/acme/billing-api/a%255cb",
    "/acme/billing-api/%c0%ae%c0%ae/admin",
    "/acme/billing-api/%c0%afadmin",
    "/acme/billing-api/a%",
    "/acme/billing-api/a%zz",
    "/acme/billing-api/%ef%bc%8e%ef%bc%8e/admin",
    "/acme/billing-api/.%ef%b9%92/admin",
    "/acme/billing-api/%e2%80%a5/admin",
    "/acme/billing-api/..%ef%bc%8fadmin",
    "/acme/billing-api/..%ef%bc%bcadmin",
    "/acme/billing-api/%ef%bc%852e%ef%bc%852e/admin",
    "/acme/billing-api/..%cd%bea=b/admin",
    "/acme/billing-api/%25ef%25bc%258e./admin",
    "/acme/billing-api/a%e2%84%80dmin",
    "/acme/billing-api/%ef%bc%8e",
    "/acme/billing-api//admin",
    "//acme/billing-api/admin",
    "/acme//billing-api/admin",
    "/acme/billing-api/%e2%80%a5%ff/admin",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_path_with_two_readings_is_refused_by_ext_authz_alone() {
    let stage = Stage::bare().await;
    let acme = stage.acme.issuer.token().sign();
    for path in ESCAPES {
        denied(&stage, &Request::get(path).bearer(&acme), 400, "bad_path").await;
        denied(&stage, &Request::get(&format!("{path}?page=2")).bearer(&acme), 400, "bad_path").await;
        // Judged before anybody is proven, so that it is no oracle.
        denied(&stage, &Request::get(path), 400, "bad_path").await;
    }
    for path in [
        "/acme/billing-api/invoices/",
        "/acme/billing-api/a.b..c",
        "/acme/billing-api/...",
        "/acme/billing-api/a;b=c",
        "/acme/billing-api/a%20b",
        "/acme/billing-api/%ef%bc%a1%ef%bc%a2",
        "/acme/billing-api/wait%e2%80%a6",
        "/acme/billing-api/50%ef%bc%85",
        "/acme/billing-api/%c2%bd",
    ] {
        let seen = served(&stage, &Request::get(path).bearer(&acme)).await;
        assert_eq!(seen.path, path.replace("/acme/billing-api", "/v1"), "forwarded byte by byte");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_with_two_readings_leads_nowhere_behind_the_shipped_envoy_either() {
    for stage in [Stage::contract().await, Stage::own_routes().await] {
        let acme = stage.acme.issuer.token().sign();
        for path in ESCAPES {
            let answer = answered(&stage, &Request::get(path).bearer(&acme)).await;
            match answer.status {
                // What Envoy folded is judged folded: the upstream sees a plain path under the contract's base path.
                200 => {
                    let seen = answer.seen();
                    assert_eq!(seen.upstream, "acme-billing", "{path}");
                    let plain = ["..", "%", "\\", "//", ";"].iter().all(|odd| !seen.path.contains(odd));
                    assert!(seen.path.starts_with("/v1") && plain, "{path} arrived as {}", seen.path);
                }
                307 => {}
                status => assert!([400, 401, 404].contains(&status), "{path}: {status} {}", answer.text()),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_no_path_is_refused() {
    for stage in [Stage::bare().await, Stage::contract().await] {
        let acme = stage.acme.issuer.token().sign();
        for (method, target) in [
            ("OPTIONS", "*"),
            ("GET", "*"),
            ("GET", "acme/billing-api/invoices"),
            ("GET", "?x"),
            ("GET", "/acme/billing-api/invoices#/globex"),
            ("GET", "/acme/billing-api/\u{e9}"),
            ("GET", "/acme/billing-api/a\tb"),
            ("GET", "/acme/billing-api/a\u{1}b"),
            ("CONNECT", "inventory.globex.example.com:443"),
            ("CONNECT", "/acme/billing-api/invoices"),
        ] {
            let answer = answered(&stage, &Request::new(method, target).bearer(&acme)).await;
            // Envoy's HTTP/1.1 parser answers some of these, ext-authz the others; a CONNECT finds no route.
            let fragment_cut = answer.status == 200 && target.contains('#') && answer.seen().path == "/v1/invoices";
            assert!(fragment_cut || [400, 404].contains(&answer.status), "{method} {target:?}: {} {}", answer.status, answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_path_are_refused() {
    for stage in [Stage::bare().await, Stage::contract().await] {
        let acme = stage.acme.issuer.token().sign();
        for odd in [&b"\xff"[..], b"\x80\xae", b"\xc0\xae\xc0\xae/admin", b"\x7f", b"a b", b"\0", b"\x0b"] {
            let mut wire = b"GET /acme/billing-api/".to_vec();
            wire.extend_from_slice(odd);
            wire.extend_from_slice(
                format!(" HTTP/1.1\r\nhost: x\r\nx-test-mark: odd-bytes\r\nauthorization: Bearer {acme}\r\n\r\n").as_bytes(),
            );
            let answer = Connection::open(stage.envoy.address()).await.send_raw(&wire).await;
            assert_eq!(answer.status, 400, "{odd:?}: {}", answer.text());
        }
        assert_eq!(reached(&stage, "odd-bytes"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_names_its_tenant_literally() {
    for stage in [Stage::bare().await, Stage::contract().await] {
        let acme = stage.acme.issuer.token().sign();
        for path in [
            "/ACME/billing-api/invoices",
            "/acme%3b/billing-api/invoices",
            "/acme;x/billing-api/invoices",
            "/acme,globex/billing-api/invoices",
            "/acme@globex/billing-api/invoices",
            "/globex%2526acme/billing-api/invoices",
        ] {
            denied(&stage, &Request::get(path).bearer(&acme), 401, "wrong_tenant").await;
        }
        for path in ["/acme/BILLING-API/invoices", "/acme/billing-api;x/invoices", "/acme/billing-apis", "/acme", "/acme/"] {
            denied(&stage, &Request::get(path).bearer(&acme), 404, "unknown_api").await;
        }
    }
    // What Envoy decodes before it asks, nobody else does.
    let bare = Stage::bare().await;
    let acme = bare.acme.issuer.token().sign();
    denied(&bare, &Request::get("/%61cme/billing-api/invoices").bearer(&acme), 401, "wrong_tenant").await;
    denied(&bare, &Request::get("/acme/%62illing-api/invoices").bearer(&acme), 404, "unknown_api").await;
}
