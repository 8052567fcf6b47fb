//! Hosts that one reader takes for acme's and another for globex's (S20).

use bulkhead_tests::client::{Connection, Request};

use crate::stage::{INVOICES, PRODUCTS, Stage, answered, denied, reached, served};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_no_plain_name_is_refused() {
    for stage in [Stage::contract().await, Stage::own_routes().await, Stage::bare().await] {
        let acme = stage.acme.issuer.token().sign();
        for host in [
            "billing.acme.example.com.",
            "billing.acme.example.com..",
            "billing.acme.example.com,inventory.globex.example.com",
            "billing.acme.example.com, inventory.globex.example.com",
            "inventory.globex.example.com@billing.acme.example.com",
            "user:pass@billing.acme.example.com",
            "billing.acme.example.com/inventory.globex.example.com",
            "billing.acme.example.com#inventory.globex.example.com",
            "billing.acme.example.com?x",
            "billing.acme.example.com\\x",
            "billing%2eacme.example.com",
            "billing_acme.example.com",
            "b\u{456}lling.acme.example.com",
            "billing.acme.example.com:port",
            "*.acme.example.com",
            "-billing.acme.example.com",
            "[::1",
            "[billing.acme.example.com]",
            "http://billing.acme.example.com",
        ] {
            let answer = answered(&stage, &Request::get(INVOICES).host(host).bearer(&acme)).await;
            assert_eq!(answer.status, 400, "{host}: {}", answer.text());
        }
    }
    // The shipped Envoy strips one port itself: what is left then is a plain name with one port, and judged as that.
    let bare = Stage::bare().await;
    let acme = bare.acme.issuer.token().sign();
    for host in ["billing.acme.example.com:80:80", "billing.acme.example.com:99999"] {
        denied(&bare, &Request::get(INVOICES).host(host).bearer(&acme), 400, "bad_path").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_means_the_same_in_any_case_and_with_any_port() {
    for stage in [Stage::contract().await, Stage::bare().await] {
        let acme = stage.acme.issuer.token().sign();
        for host in ["INVENTORY.globex.example.com", "inventory.globex.example.com:80", "Inventory.Globex.Example.Com:8443"] {
            for path in [INVOICES, PRODUCTS, "/products", "/"] {
                denied(&stage, &Request::get(path).host(host).bearer(&acme), 401, "wrong_tenant").await;
            }
        }
        for host in ["BILLING.acme.example.com", "billing.acme.example.com:443"] {
            let seen = served(&stage, &Request::get("/invoices").host(host).bearer(&acme)).await;
            assert_eq!((seen.upstream.as_str(), seen.path.as_str()), ("acme-billing", "/v1/invoices"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_are_none() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().sign();
    let (own, other) = ("billing.acme.example.com", "inventory.globex.example.com");
    for (first, second) in [(own, other), (other, own)] {
        let answer = answered(&stage, &Request::get(INVOICES).host(first).host(second).bearer(&acme)).await;
        assert!([400, 401].contains(&answer.status), "{}", answer.status);
        // A target that names a host itself overrules the header (RFC 9112 section 3.2.2): one of the two decides for everybody.
        let request = Request::get(&format!("http://{first}{PRODUCTS}")).host(second).bearer(&acme);
        denied(&stage, &request, 401, "wrong_tenant").await;
    }
    let smuggled = Request::get("/products").host(own).header("x-forwarded-host", other).header(":authority", other).bearer(&acme);
    assert_eq!(answered(&stage, &smuggled).await.status, 400, "a pseudo header has no place in HTTP/1.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_hidden_in_the_body_of_another_is_never_a_request() {
    let stage = Stage::contract().await;
    let acme = stage.acme.issuer.token().sign();
    let hidden = format!("GET {PRODUCTS} HTTP/1.1\r\nhost: x\r\nx-bulkhead-tenant: globex\r\nx-test-mark: hidden\r\n\r\n");
    let head = format!("POST {INVOICES} HTTP/1.1\r\nhost: x\r\nx-test-mark: carrier\r\nauthorization: Bearer {acme}\r\n");
    for framing in [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}", hidden.len() + 5),
        format!("transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n{hidden}"),
        format!("content-length: 0\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
    ] {
        let mut connection = Connection::open(stage.envoy.address()).await;
        let answer = connection.send_raw(format!("{head}{framing}").as_bytes()).await;
        assert!([400, 501].contains(&answer.status), "{framing:?}: {} {}", answer.status, answer.text());
    }
    assert_eq!((reached(&stage, "hidden"), reached(&stage, "carrier")), (0, 0));
}
