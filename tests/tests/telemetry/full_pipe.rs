//! Standard error is a pipe that is full and that nobody reads: whoever collects logs hangs.

use std::{io::Write as _, path::Path, process::Stdio, thread};

use bulkhead_proto::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest,
    attribute_context::{HttpRequest, Request as Asked},
    authorization_client::AuthorizationClient,
    check_response::HttpResponse,
};
use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
    parts,
    port::free_address,
    scale::Scale,
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

/// More decisions, a line each, than lines may wait.
const DECISIONS: usize = 6_000;

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_answered_and_the_end_comes_though_nobody_reads_the_log() {
    let config = TempDir::new().expect("a temporary directory");
    let scale = Scale { tenants: 1, apis: 1, subscriptions: 1, ..Scale::TEN_THOUSAND };
    scale.write(config.path()).expect("a writable directory");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let (grpc, health) = (free_address(), free_address());
    let mut service =
        start(config.path(), &[("--grpc", grpc.to_string()), ("--health", health.to_string())], writer.try_clone().unwrap().into());
    // Full from now on, however large it is: this thread waits in it until the reader is gone.
    thread::spawn(move || while writer.write_all(&[b'\n'; 4096]).is_ok() {});

    let ready = || async {
        TcpStream::connect(health).await.ok()?;
        (Request::get("/readyz").send(health).await.status == 200).then_some(())
    };
    deadline::until("a service that nobody listens to", PATIENCE, ready).await;
    let mut client = AuthorizationClient::connect(format!("http://{grpc}")).await.expect("it listens");
    let ask = asked(&format!("/{}/api-0/x", Scale::tenant(0)), &Scale::api_key(0, 0));
    for _ in 0..DECISIONS {
        let answer = timeout(PATIENCE, client.check(ask.clone())).await.expect("an answer in time").expect("an answer").into_inner();
        assert!(matches!(answer.http_response, Some(HttpResponse::OkResponse(_))), "{answer:?}");
    }
    let metrics = Request::get("/metrics").send(health).await.text();
    let lost = metrics.lines().find_map(|line| line.strip_prefix("bulkhead_log_lines_lost_total ")).expect("the metric");
    assert!(lost.parse::<usize>().expect("a number") > 0, "{lost}");

    let id = service.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().is_ok_and(|asked| asked.success()));
    let ended = timeout(PATIENCE, service.wait()).await.expect("an end in time").expect("a status");
    assert!(ended.success(), "{ended}");
    drop(reader);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_flag_ends_the_process_though_nobody_reads_why() {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let stderr = writer.try_clone().unwrap();
    thread::spawn(move || while writer.write_all(&[b'\n'; 4096]).is_ok() {});
    let mut service = start(Path::new("/no/such/folder"), &[], stderr.into());
    assert_eq!(timeout(PATIENCE, service.wait()).await.expect("an end in time").expect("a status").code(), Some(2));
    drop(reader);
}

fn start(config: &Path, doors: &[(&str, String)], stderr: Stdio) -> Child {
    let mut command = Command::new(parts::service("bulkhead-ext-authz"));
    command.args(["serve", "--log-level", "debug", "--keys-ahead", "off", "--drain-delay", "0ms", "--admin", "127.0.0.1:0", "--config"]);
    command.arg(config);
    for (flag, address) in doors {
        command.args([flag, address.as_str()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true).spawn().expect("a service that is built")
}

/// A request as Envoy tells of it.
fn asked(path: &str, key: &str) -> CheckRequest {
    let http = HttpRequest {
        method: "GET".to_owned(),
        host: "gateway.example.com".to_owned(),
        path: path.to_owned(),
        headers: [("x-api-key".to_owned(), key.to_owned())].into(),
        ..HttpRequest::default()
    };
    let request = Some(Asked { http: Some(http), ..Asked::default() });
    CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }
}
