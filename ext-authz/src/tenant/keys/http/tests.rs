use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Response, header},
};
use serde_json::json;

use super::*;
use crate::tenant::testing::{Signer, issuer};

/// A provider on loopback that answers as it is told and remembers the paths that it was asked for.
struct Site {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn serve(answer: impl Fn(SocketAddr, &str) -> Response<Body> + Clone + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let path = request.uri().path().to_owned();
            log.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
            let response = answer(address, &path);
            async move { response }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn by_uri(&self, path: &str) -> Issuer {
        issuer("https://auth.example/realms/acme", KeySource::JwksUri(self.url(path)))
    }

    fn by_discovery(&self, path: &str) -> Issuer {
        issuer(self.url(path).as_str(), KeySource::Discovery(self.url(path)))
    }
}

fn text(body: impl Into<Body>) -> Response<Body> {
    Response::new(body.into())
}

fn redirect(to: &str) -> Response<Body> {
    Response::builder().status(302).header(header::LOCATION, to).body(Body::empty()).unwrap()
}

fn set() -> String {
    json!({"keys": [Signer::ed25519().jwk("k")]}).to_string()
}

fn bounds() -> HttpBounds {
    HttpBounds { total: Duration::from_secs(3), ..HttpBounds::default() }
}

async fn fetch(issuer: &Issuer) -> Result<Vec<Value>, FetchError> {
    HttpKeys::new(bounds()).unwrap().fetch(issuer).await
}

/// A service of the machine that must not even be connected to.
struct Machine(std::net::TcpListener);

impl Machine {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn at(&self, url: &str) -> String {
        url.replace("{port}", &self.0.local_addr().unwrap().port().to_string())
    }

    /// Whether somebody connected. Who did has connected before the fetch returned: the kernel has it in the queue.
    fn was_reached(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// Where nobody may be sent who was not sent there by the operator; `{port}` is another service of the machine.
const BANNED: [&str; 16] = [
    "http://127.0.0.1:{port}/jwks",
    "https://127.0.0.1:{port}/jwks",
    "https://127.1:{port}/jwks",
    "https://2130706433:{port}/jwks",
    "https://0x7f.0.0.1:{port}/jwks",
    "https://0.0.0.0:{port}/jwks",
    "https://[::1]:{port}/jwks",
    "https://[::ffff:127.0.0.1]:{port}/jwks",
    "https://localhost:{port}/jwks",
    "https://LOCALHOST.:{port}/jwks",
    "https://169.254.169.254/latest/meta-data",
    "http://169.254.169.254/latest/meta-data",
    "https://user:password@auth.example/jwks",
    "http://auth.example/jwks",
    "file:///etc/passwd",
    "ftp://auth.example/jwks",
];

#[tokio::test]
async fn keys_come_from_a_jwks_uri() {
    let site = Site::serve(|_, _| text(set())).await;
    assert_eq!(fetch(&site.by_uri("/certs")).await.unwrap().len(), 1);
    assert_eq!(site.asked(), ["/certs"]);
}

#[tokio::test]
async fn keys_come_from_where_discovery_says() {
    let answer = |own: SocketAddr, path: &str| match path {
        "/realms/acme/.well-known/openid-configuration" => {
            text(json!({"issuer": format!("http://{own}/realms/acme"), "jwks_uri": format!("http://{own}/certs")}).to_string())
        }
        "/certs" => text(set()),
        _ => Response::builder().status(404).body(Body::empty()).unwrap(),
    };
    let site = Site::serve(answer).await;
    assert_eq!(fetch(&site.by_discovery("/realms/acme")).await.unwrap().len(), 1);
    assert_eq!(site.asked(), ["/realms/acme/.well-known/openid-configuration", "/certs"]);
}

#[tokio::test]
async fn s18_a_discovery_document_of_another_issuer_is_refused() {
    for other in ["http://{own}/realms/ACME", "http://{own}/realms/acme/", "http://{own}/realms/globex", "", "http://{own}"] {
        let answer = move |own: SocketAddr, _: &str| {
            let issuer = other.replace("{own}", &own.to_string());
            text(json!({"issuer": issuer, "jwks_uri": format!("http://{own}/certs")}).to_string())
        };
        let site = Site::serve(answer).await;
        let error = fetch(&site.by_discovery("/realms/acme")).await.unwrap_err();
        assert_eq!(error.to_string(), "not what was asked for: the discovery document is another issuer's");
        assert_eq!(site.asked().len(), 1, "the keys were not asked for");
    }
}

#[tokio::test]
async fn s18_a_discovered_jwks_uri_leads_to_no_banned_address() {
    let machine = Machine::new();
    for banned in BANNED {
        let to = machine.at(banned);
        let answer = {
            let to = to.clone();
            move |own: SocketAddr, _: &str| text(json!({"issuer": format!("http://{own}/"), "jwks_uri": to}).to_string())
        };
        let site = Site::serve(answer).await;
        assert!(fetch(&site.by_discovery("/")).await.is_err(), "{to}");
    }
    assert!(!machine.was_reached());
}

#[tokio::test]
async fn s18_no_redirect_leads_to_a_banned_address() {
    let machine = Machine::new();
    for banned in BANNED {
        let to = machine.at(banned);
        let answer = {
            let to = to.clone();
            move |_: SocketAddr, _: &str| redirect(&to)
        };
        let site = Site::serve(answer).await;
        assert!(fetch(&site.by_uri("/certs")).await.is_err(), "{to}");
        assert_eq!(site.asked(), ["/certs"]);
    }
    assert!(!machine.was_reached());
}

#[tokio::test]
async fn s18_a_number_is_refused_before_and_a_name_after_it_is_resolved() {
    let machine = Machine::new();
    for (to, refused) in [("https://127.0.0.1:{port}/", true), ("https://[::1]:{port}/", true), ("https://localhost:{port}/", false)] {
        let to = machine.at(to);
        let site = Site::serve(move |_, _| redirect(&to)).await;
        match fetch(&site.by_uri("/certs")).await.unwrap_err() {
            FetchError::Refused(_) => assert!(refused),
            FetchError::Unreachable(_) => assert!(!refused),
            other => panic!("{other}"),
        }
    }
    assert!(!machine.was_reached());
}

#[test]
fn s18_what_may_be_fetched_follows_from_what_the_operator_wrote() {
    let own = issuer("http://10.0.0.7:8080/realms/acme", KeySource::JwksUri("https://keys.example/certs".parse().unwrap()));
    let judge = |url: &str| match Written::of(&own).allows(&url.parse().unwrap()) {
        Ok(true) => "as written",
        Ok(false) => "checked",
        Err(FetchError::Refused(why)) => why,
        Err(_) => "another error",
    };
    for (url, said) in [
        ("http://10.0.0.7:8080/anything", "as written"),
        ("https://keys.example/other", "as written"),
        ("https://keys.example:443/other", "as written"),
        ("https://keys.example:8443/", "checked"),
        ("https://10.0.0.7:8080/", "checked"),
        ("https://elsewhere.example/", "checked"),
        ("http://10.0.0.7/", "not https, and not at an origin that the operator wrote"),
        ("http://keys.example/certs", "not https, and not at an origin that the operator wrote"),
        ("http://10.0.0.7.evil.example:8080/", "not https, and not at an origin that the operator wrote"),
        ("https://keys.example@127.0.0.1/", "a URL with user or password"),
        ("https://:secret@keys.example/", "a URL with user or password"),
        ("https://127.0.0.1/", "an address that is banned, and not at an origin that the operator wrote"),
        ("https://[::ffff:169.254.169.254]/", "an address that is banned, and not at an origin that the operator wrote"),
        ("data:application/json,{}", "not https, and not at an origin that the operator wrote"),
    ] {
        assert_eq!(judge(url), said, "{url}");
    }
}

#[tokio::test]
async fn s18_redirects_inside_the_operators_origin_are_followed_and_counted() {
    let answer = |_: SocketAddr, path: &str| match path {
        "/old" => redirect("/new"),
        "/new" => text(set()),
        _ => redirect("/loop"),
    };
    let site = Site::serve(answer).await;
    assert!(fetch(&site.by_uri("/old")).await.is_ok());
    assert_eq!(fetch(&site.by_uri("/loop")).await.unwrap_err().to_string(), "refused to fetch: too many redirects");
    assert_eq!(site.asked().len(), 2 + 1 + bounds().redirects);
}

#[tokio::test]
async fn s18_a_huge_answer_is_not_read_to_its_end() {
    let stated = Site::serve(|_, _| text(" ".repeat(10 << 20))).await;
    assert!(matches!(fetch(&stated.by_uri("/")).await, Err(FetchError::TooLong(_))));
    // Without a length, and without an end.
    let endless = Site::serve(|_, _| {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 16 * 1024]));
        text(Body::from_stream(chunks))
    })
    .await;
    assert!(matches!(fetch(&endless.by_uri("/")).await, Err(FetchError::TooLong(_))));
}

#[tokio::test]
async fn s18_a_slow_drip_ends_at_the_time_bound() {
    let drip = Site::serve(|_, _| {
        let chunks = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>(vec![b' ']), ()))
        });
        text(Body::from_stream(chunks))
    })
    .await;
    let keys = HttpKeys::new(HttpBounds { total: Duration::from_millis(200), ..bounds() }).unwrap();
    assert!(keys.fetch(&drip.by_uri("/")).await.is_err());
}

#[tokio::test]
async fn s18_a_compressed_answer_is_not_unpacked() {
    let answer = |_: SocketAddr, _: &str| {
        Response::builder().header(header::CONTENT_ENCODING, "gzip").body(Body::from(vec![0x1f, 0x8b, 8, 0, 0])).unwrap()
    };
    let site = Site::serve(answer).await;
    assert!(matches!(fetch(&site.by_uri("/")).await, Err(FetchError::Unexpected("no key set"))));
}

#[tokio::test]
async fn what_is_no_key_set_is_refused() {
    for body in ["", "null", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":"x"}"#, "<html>"] {
        let site = Site::serve(move |_, _| text(body)).await;
        assert!(matches!(fetch(&site.by_uri("/")).await, Err(FetchError::Unexpected(_))), "{body}");
    }
    let failing = Site::serve(|_, _| Response::builder().status(500).body(Body::from(set())).unwrap()).await;
    assert!(matches!(fetch(&failing.by_uri("/")).await, Err(FetchError::Status(500))));
}

#[tokio::test]
async fn s18_an_errors_text_holds_nothing_of_the_answer() {
    let site = Site::serve(|_, _| text("secret-of-another-service")).await;
    let error = fetch(&site.by_uri("/")).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("secret"));
}

#[tokio::test]
async fn s18_an_unreachable_providers_error_says_why_and_not_where() {
    let long = format!("https://localhost:1/{}", "x".repeat(10_000));
    let site = Site::serve(move |_, _| redirect(&long)).await;
    let error = fetch(&site.by_uri("/")).await.unwrap_err();
    assert!(error.causes().contains("no address that may be connected to"), "{}", error.causes());
    assert!(!error.causes().contains("xxx") && error.causes().len() < 400);
}

#[tokio::test]
async fn s5_a_tenants_lookups_that_never_end_keep_no_others_name_from_being_found() {
    let site = Site::serve(|_, _| text(set())).await;
    let uri = format!("http://localhost:{}/certs", site.address.port());
    let by_name = issuer("https://auth.example/realms/acme", KeySource::JwksUri(uri.parse().unwrap()));
    let keys = HttpKeys::new(HttpBounds { total: Duration::from_millis(300), ..bounds() }).unwrap();
    let (dead, living) = (Arc::new(Semaphore::new(4)), Arc::new(Semaphore::new(4)));
    // Four lookups of this tenant are on their way for ever.
    let _stuck = Arc::clone(&dead).acquire_many_owned(4).await.unwrap();
    assert!(matches!(for_tenant(&dead, keys.fetch(&by_name)).await, Err(FetchError::TimedOut | FetchError::Unreachable(_))));
    assert!(site.asked().is_empty());
    assert_eq!(for_tenant(&living, keys.fetch(&by_name)).await.unwrap().len(), 1);
    assert_eq!(living.available_permits(), 4);
}
