//! Rules from a management server: a double in this process that sends good, bad and empty updates, and drops streams.

mod server;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bulkhead_proto::pb::ratelimit::config::ratelimit::v3::RateLimitUnit;
use bulkhead_ratelimit::dropin::{
    follow::follow,
    live::Live,
    rules::{Descriptor, Entry, Limits, Rate, Unit},
    settings::{Settings, Variables},
};
use bulkhead_tests::{
    deadline::{PATIENCE, until},
    port::free_address,
};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};

use self::server::{Said, Server, World, config, descriptor, limited, resource, type_url};

#[tokio::test]
async fn the_first_request_names_the_node_the_type_and_no_version() {
    let mut world = World::new(&[
        ("CONFIG_GRPC_XDS_NODE_ID", "envoy-ratelimit"),
        ("CONFIG_GRPC_XDS_NODE_METADATA", "zone=a"),
        ("CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS", "x-tenant:acme"),
    ])
    .await;
    let first = world.said().await;
    let node = first.request.node.as_ref().unwrap();
    assert_eq!((node.id.as_str(), node.metadata.as_ref().unwrap().fields.len()), ("envoy-ratelimit", 1));
    assert_eq!((first.request.type_url.as_str(), first.request.version_info.as_str()), (type_url().as_str(), ""));
    assert_eq!((first.request.response_nonce.as_str(), first.request.error_detail.is_none()), ("", true));
    assert_eq!(first.headers.get("x-tenant").unwrap(), "acme");
    assert!(world.live.load().is_none());
}

#[tokio::test]
async fn good_resources_decide_and_are_acknowledged() {
    let mut world = World::new(&[]).await;
    let rules = [limited(descriptor("user", "a"), 5, RateLimitUnit::Minute)];
    world.send("v1", vec![resource(&config("one", "a", &rules)), resource(&config("two", "b", &[]))]).await;
    world.acknowledged("v1").await;
    world.live.first().await;
    assert_eq!(world.domains(), ["a", "b"]);
    let entries = vec![Entry { key: "user", value: "a" }];
    let Limits::Known(limits) = world.live.load().unwrap().limits("a", &[Descriptor { entries, limit: None }]).unwrap() else {
        panic!("known")
    };
    assert_eq!(limits[0].as_ref().unwrap().rate, Rate::Each { requests_per_unit: 5, unit: Unit::Minute });
}

#[tokio::test]
async fn every_field_of_a_resource_is_read() {
    let mut world = World::new(&[]).await;
    let mut rule = limited(descriptor("k", "v*"), 1, RateLimitUnit::Week);
    rule.shadow_mode = true;
    rule.quota_mode = true;
    rule.detailed_metric = true;
    rule.rate_limit.as_mut().unwrap().name = "n".into();
    let mut unlimited = descriptor("free", "");
    unlimited.rate_limit = Some(Default::default());
    unlimited.rate_limit.as_mut().unwrap().unlimited = true;
    unlimited.descriptors = vec![limited(descriptor("sub", ""), 2, RateLimitUnit::Year)];
    world.send("v1", vec![resource(&config("one", "d", &[rule, unlimited]))]).await;
    world.acknowledged("v1").await;
    assert_eq!(
        world.live.load().unwrap().dump(),
        "d.free.sub: unit=YEAR requests_per_unit=2, shadow_mode: false, quota_mode: false\n\
         d.free: unit=UNKNOWN requests_per_unit=0, shadow_mode: false, quota_mode: false\n\
         d.k_v*: unit=WEEK requests_per_unit=1, shadow_mode: true, quota_mode: true\n"
    );
}

#[tokio::test]
async fn a_bad_update_is_refused_with_its_reason_and_the_rules_before_stay() {
    let mut world = World::new(&[]).await;
    world.send("v1", vec![resource(&config("one", "a", &[]))]).await;
    world.acknowledged("v1").await;
    let unknown_unit = limited(descriptor("k", ""), 1, RateLimitUnit::Unknown);
    let mut undecodable = resource(&config("one", "a", &[]));
    undecodable.value = vec![0xff, 0xff, 0xff];
    let mut foreign = resource(&config("one", "a", &[]));
    foreign.type_url = "type.googleapis.com/envoy.config.cluster.v3.Cluster".into();
    for (resources, reason) in [
        (vec![resource(&config("bad", "b", std::slice::from_ref(&unknown_unit)))], "bad: invalid rate limit unit 'UNKNOWN'"),
        // One that is invalid takes the others with it.
        (
            vec![resource(&config("good", "g", &[])), resource(&config("bad", "b", &[unknown_unit]))],
            "bad: invalid rate limit unit 'UNKNOWN'",
        ),
        (vec![resource(&config("one", "a", &[])), resource(&config("two", "a", &[]))], "two: duplicate domain 'a' in config file"),
        (vec![resource(&config("one", "", &[]))], "one: config file cannot have empty domain"),
        (vec![undecodable], "failed to decode Protobuf message"),
        (vec![foreign], "mismatched message type"),
    ] {
        world.send("v2", resources).await;
        let said = world.refused("v1").await;
        assert!(said.contains(reason), "{said}");
        assert_eq!(world.domains(), ["a"]);
    }
    world.send("v3", vec![resource(&config("one", "c", &[]))]).await;
    world.acknowledged("v3").await;
    assert_eq!((world.domains(), world.errors()), (vec!["c".to_owned()], 6));
}

#[tokio::test]
async fn a_response_of_another_type_is_refused() {
    let mut world = World::new(&[]).await;
    world.send_of("type.googleapis.com/envoy.config.cluster.v3.Cluster", "v1", Vec::new()).await;
    assert!(world.refused("").await.contains("was not asked for"));
}

#[tokio::test]
async fn what_is_not_in_an_update_any_more_is_gone() {
    let mut world = World::new(&[]).await;
    world.send("v1", vec![resource(&config("one", "a", &[])), resource(&config("two", "b", &[]))]).await;
    world.acknowledged("v1").await;
    world.send("v2", vec![resource(&config("two", "b", &[]))]).await;
    world.acknowledged("v2").await;
    assert_eq!(world.domains(), ["b"]);
    world.send("v3", Vec::new()).await;
    world.acknowledged("v3").await;
    assert!(world.live.load().unwrap().is_empty());
}

#[tokio::test]
async fn domains_merge_where_that_is_asked_for() {
    let mut world = World::new(&[("MERGE_DOMAIN_CONFIG", "true")]).await;
    let one = [limited(descriptor("a", ""), 1, RateLimitUnit::Day)];
    let two = [limited(descriptor("b", ""), 1, RateLimitUnit::Day)];
    world.send("v1", vec![resource(&config("one", "d", &one)), resource(&config("two", "d", &two))]).await;
    world.acknowledged("v1").await;
    assert_eq!(world.live.load().unwrap().dump().lines().count(), 2);
}

#[tokio::test]
async fn a_dropped_stream_is_opened_again_with_the_version_that_was_accepted() {
    let mut world = World::new(&[]).await;
    world.send("v1", vec![resource(&config("one", "a", &[]))]).await;
    world.acknowledged("v1").await;
    for _ in 0..2 {
        world.server.drop_streams();
        let first = world.first_of_next_stream().await;
        assert_eq!((first.request.version_info.as_str(), first.request.response_nonce.as_str()), ("v1", ""));
        assert_eq!(world.domains(), ["a"]);
    }
    world.send("v2", vec![resource(&config("one", "b", &[]))]).await;
    world.acknowledged("v2").await;
}

/// The original's hot loop (#502): a server that answers every stream with an error is asked again only after a while.
#[tokio::test]
async fn a_server_that_fails_every_stream_is_asked_rarely() {
    let mut world = World::new(&[("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", "0s"), ("XDS_CLIENT_BACKOFF_MAX_INTERVAL", "0s")]).await;
    world.server.refuse_streams();
    world.server.drop_streams();
    let (before, start) = (world.server.streams(), Instant::now());
    until("more streams", PATIENCE, async || (world.server.streams() >= before + 6).then_some(())).await;
    // Each waits for 100 ms at least, but the first, whose wait may have begun before.
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    world.server.admit_streams();
    world.first_of_next_stream().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_not_taken() {
    let mut world = World::new(&[("XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", "1000")]).await;
    world.send("v1", vec![resource(&config("one", "a", &[]))]).await;
    world.acknowledged("v1").await;
    world.send("v2", vec![resource(&config("one", &"b".repeat(2_000), &[]))]).await;
    let first = world.first_of_next_stream().await;
    assert_eq!(first.request.version_info, "v1");
    assert_eq!(world.domains(), ["a"]);
}

#[tokio::test]
async fn rules_nested_without_end_are_refused() {
    let mut world = World::new(&[]).await;
    for depth in [80, 3_000] {
        let mut rule = descriptor("k", "");
        for _ in 0..depth {
            rule = bulkhead_proto::pb::ratelimit::config::ratelimit::v3::RateLimitDescriptor {
                descriptors: vec![rule],
                ..descriptor("k", "")
            };
        }
        let resource = std::thread::Builder::new().stack_size(64 << 20).spawn(move || resource(&config("deep", "d", &[rule]))).unwrap();
        world.send("v1", vec![resource.join().unwrap()]).await;
        world.refused("").await;
    }
}

#[tokio::test]
async fn a_server_that_comes_late_is_found() {
    let live = Live::new(|_| ());
    let address = free_address();
    let settings = Settings::read(Variables::new([
        ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
        ("CONFIG_GRPC_XDS_SERVER_URL", &address.to_string()),
        ("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", "100ms"),
    ]))
    .unwrap();
    let nobody = TcpListener::bind(address).await.unwrap();
    let _following = follow(&settings, &live).unwrap();
    drop(nobody.accept().await.unwrap());
    drop(nobody);
    let mut server = Server::start(address, None).await;
    server.send(type_url(), "v1", vec![resource(&config("one", "a", &[]))]).await;
    live.first().await;
    assert_eq!(live.load().unwrap().domains().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn tls_with_a_client_certificate() {
    let files = server::tls_files();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let address = free_address();
    let mut server = Server::start(address, Some(&files)).await;
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let before = between.local_addr().unwrap();
    let settings = |ca: &str, address: SocketAddr| {
        Settings::read(Variables::new([
            ("CONFIG_TYPE", "GRPC_XDS_SOTW".to_owned()),
            ("CONFIG_GRPC_XDS_SERVER_URL", address.to_string()),
            ("CONFIG_GRPC_XDS_SERVER_USE_TLS", "true".to_owned()),
            ("CONFIG_GRPC_XDS_SERVER_TLS_CACERT", path(ca)),
            ("CONFIG_GRPC_XDS_CLIENT_TLS_CERT", path("client.pem")),
            ("CONFIG_GRPC_XDS_CLIENT_TLS_KEY", path("client.key")),
            ("CONFIG_GRPC_XDS_SERVER_TLS_SAN", "control-plane".to_owned()),
            ("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", "100ms".to_owned()),
        ]))
        .unwrap()
    };
    let live = Live::new(|_| ());
    // A server that another authority vouches for is nobody.
    let wrong = follow(&settings("other.pem", before), &live).unwrap();
    for _ in 0..2 {
        let (mut client, _) = between.accept().await.unwrap();
        let mut to_server = TcpStream::connect(address).await.unwrap();
        // Until the client has hung up: what it was told was not enough for it.
        drop(tokio::io::copy_bidirectional(&mut client, &mut to_server).await);
    }
    assert_eq!(server.streams(), 0);
    drop(wrong);
    let _right = follow(&settings("ca.pem", address), &live).unwrap();
    server.send(type_url(), "v1", vec![resource(&config("one", "a", &[]))]).await;
    live.first().await;
    assert!(live.load().is_some());
}

#[test]
fn what_cannot_work_is_told_at_the_start() {
    for (given, variable) in [
        (vec![("CONFIG_GRPC_XDS_SERVER_URL", "a b")], "CONFIG_GRPC_XDS_SERVER_URL"),
        (vec![("CONFIG_GRPC_XDS_SERVER_URL", "http://a:1/x")], "CONFIG_GRPC_XDS_SERVER_URL"),
        (vec![("CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS", "a b:c")], "CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS"),
        (
            vec![("CONFIG_GRPC_XDS_SERVER_USE_TLS", "true"), ("CONFIG_GRPC_XDS_SERVER_TLS_CACERT", "/nowhere/ca.pem")],
            "CONFIG_GRPC_XDS_SERVER_TLS_CACERT",
        ),
    ] {
        let given = given.into_iter().chain([("CONFIG_TYPE", "GRPC_XDS_SOTW")]);
        let settings = Settings::read(Variables::new(given)).unwrap();
        let error = follow(&settings, &Live::new(|_| ())).unwrap_err();
        assert_eq!(error.variable, variable, "{error}");
    }
}

proptest::proptest! {
    /// Whatever bytes a server sends as a resource: an error or rules, never a panic.
    #[test]
    fn no_resource_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), flip in 0usize..100, with in 0u8..) {
        use bulkhead_ratelimit::dropin::xds::drafts;
        let rule = limited(descriptor("key", "value*"), 3, RateLimitUnit::Hour);
        let mut nearly = config("one", "domain", &[rule]).encode_to_vec();
        let place = flip % nearly.len();
        nearly[place] = with;
        for value in [bytes.clone(), nearly] {
            let mut any = resource(&config("one", "a", &[]));
            any.value = value;
            if let Ok(drafts) = drafts(&[any]) {
                drop(bulkhead_ratelimit::dropin::rules::Configuration::build(&drafts, false));
            }
        }
    }
}

impl Said {
    fn detail(&self) -> Option<&str> {
        self.request.error_detail.as_ref().map(|detail| detail.message.as_str())
    }
}

impl World {
    /// Waits for the acknowledgement of a version.
    async fn acknowledged(&mut self, version: &str) {
        let said = self.answer().await;
        assert_eq!((said.detail(), said.request.version_info.as_str()), (None, version));
    }

    /// Waits for a refusal that keeps a version, and gives its reason.
    async fn refused(&mut self, version: &str) -> String {
        let said = self.answer().await;
        assert_eq!(said.request.version_info, version);
        said.detail().expect("a refusal").to_owned()
    }
}
