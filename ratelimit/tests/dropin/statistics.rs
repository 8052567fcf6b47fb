//! Statistics where others look for them: statsd and Prometheus.

use bulkhead_tests::{
    client::Request,
    deadline::{self, PATIENCE},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::{TcpListener, UdpSocket},
};

use crate::{case::call, standing_in::StandIn};

const RULES: &str = "domain: d\ndescriptors: [{ key: k, value: v, rate_limit: { unit: year, requests_per_unit: 1 } }]\n";

/// Variables of a statsd at a port, told often.
fn statsd(port: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("USE_STATSD", "true"),
        ("STATSD_HOST", "127.0.0.1"),
        ("STATSD_PORT", port),
        ("STATS_FLUSH_INTERVAL", "50ms"),
        ("EXTRA_TAGS", "zone:a.b"),
    ]
}

#[tokio::test]
async fn statsd_is_told_what_came_since_the_last_flush() {
    let double = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = double.local_addr().unwrap().port().to_string();
    let mut variables = statsd(&port);
    variables.push(("STATSD_PROTOCOL", "udp"));
    let service = StandIn::in_memory(&variables, RULES).await;
    for _ in 0..3 {
        service.ask(call("d: k=v")).await.unwrap();
    }
    let (mut total, mut over, mut times) = (0, 0, 0);
    while total < 3 || over < 2 || times < 3 {
        let mut datagram = [0; 2048];
        let length = tokio::time::timeout(PATIENCE, double.recv(&mut datagram)).await.expect("more from statsd").unwrap();
        for line in std::str::from_utf8(&datagram[..length]).unwrap().lines() {
            let counted = |name: &str| line.strip_prefix(name)?.strip_suffix("|c")?.parse::<u64>().ok();
            total += counted("ratelimit.service.rate_limit.d.k_v.total_hits.__zone=a_b:").unwrap_or(0);
            over += counted("ratelimit.service.rate_limit.d.k_v.over_limit.__zone=a_b:").unwrap_or(0);
            times += usize::from(line.starts_with("ratelimit_server.ShouldRateLimit.response_time.__zone=a_b:") && line.ends_with("|ms"));
        }
    }
    assert_eq!((total, over, times), (3, 2, 3), "deltas, never sums");
}

#[tokio::test]
async fn statsd_is_spoken_to_over_tcp_unless_told_otherwise_and_hears_the_rest_at_the_end() {
    let double = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = double.local_addr().unwrap().port().to_string();
    let mut variables = statsd(&port);
    variables.push(("STATS_FLUSH_INTERVAL", "1h"));
    let mut service = StandIn::in_memory(&variables, RULES).await;
    service.ask(call("d: k=v")).await.unwrap();
    service.process.terminate().await;
    let mut heard = String::new();
    while !heard.contains("d.k_v.total_hits.__zone=a_b:1|c") {
        let (stream, _) = tokio::time::timeout(PATIENCE, double.accept()).await.expect("a connection").unwrap();
        let mut lines = BufReader::new(stream).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            heard.push_str(&line);
        }
    }
}

#[tokio::test]
async fn prometheus_reads_the_names_of_the_default_mapping() {
    let service = StandIn::in_memory(&[("USE_PROMETHEUS", "true"), ("PROMETHEUS_PATH", "/scrape")], RULES).await;
    service.ask(call("d: k=v")).await.unwrap();
    service.ask(call("d: k=v")).await.unwrap();
    let address = service.prometheus.expect("a port for Prometheus");
    assert_eq!(Request::get("/metrics").send(address).await.status, 404);
    let text = deadline::until("the series", PATIENCE, || async {
        let text = Request::get("/scrape").send(address).await.text();
        text.contains("ratelimit_service_rate_limit_over_limit{").then_some(text)
    })
    .await;
    for line in [
        "ratelimit_service_rate_limit_total_hits{domain=\"d\",key1=\"k_v\"} 2",
        "ratelimit_service_rate_limit_over_limit{domain=\"d\",key1=\"k_v\"} 1",
        "ratelimit_service_rate_limit_within_limit{domain=\"d\",key1=\"k_v\"} 1",
        "ratelimit_service_rate_limit_near_limit{domain=\"d\",key1=\"k_v\"} 1",
        "ratelimit_service_config_load_success 1",
        "ratelimit_service_total_requests{grpc_method=\"ShouldRateLimit\"} 2",
        "ratelimit_service_response_time_seconds_count{grpc_method=\"ShouldRateLimit\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
