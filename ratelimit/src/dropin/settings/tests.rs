use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn read(given: &[(&str, &str)]) -> Settings {
    Settings::read(Variables::new(given.iter().copied())).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn errors(given: &[(&str, &str)]) -> Vec<String> {
    Settings::read(Variables::new(given.iter().copied())).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_the_originals() {
    let settings = read(&[]);
    let listen = |port| Listen { host: "0.0.0.0".into(), port };
    assert_eq!((settings.doors.http, settings.doors.debug, settings.doors.grpc), (listen(8080), listen(6070), listen(8081)));
    assert_eq!(settings.doors.max_connection_age, Some(Duration::from_secs(86_400)));
    assert_eq!(settings.doors.tls, None);
    assert_eq!(settings.log, Log { level: Level::Warn, json: false });
    let runtime = Runtime {
        root: "/srv/runtime_data/current".into(),
        subdirectory: "".into(),
        app_directory: "config".into(),
        ignore_dot_files: false,
        watch_root: true,
    };
    assert_eq!(settings.source, Source::Files(runtime));
    assert_eq!((settings.merge_domains, settings.force_start, settings.healthy_when_loaded), (false, false, false));
    assert_eq!(settings.answers, Answers { headers: None, dynamic_metadata: false, shadow_mode: false });
    assert_eq!((settings.counting.near_limit_ratio, settings.counting.local_cache_bytes), (0.8, 0));
    assert_eq!(settings.counting.expiration_jitter, Duration::from_secs(300));
    assert_eq!((settings.counting.key_prefix.as_str(), settings.counting.stop_when_over), ("", false));
    assert_eq!(settings.statistics.statsd, Some(Listen { host: "localhost".into(), port: 8125 }));
    assert_eq!((settings.statistics.prometheus, settings.statistics.dog_statsd), (None, None));
    assert_eq!(settings.statistics.flush_interval, Duration::from_secs(10));
    assert_eq!(settings.redis.topology, Topology::Single(Endpoint::Unix("/var/run/nutcracker/ratelimit.sock".into())));
    assert_eq!(settings.redis.timeout, Duration::from_secs(10));
    assert!(settings.per_second.is_none() && settings.without_effect.is_empty() && !settings.healthy_when_connected);
}

#[test]
fn the_original_documentations_own_start_line_is_taken() {
    let settings = read(&[
        ("USE_STATSD", "false"),
        ("LOG_LEVEL", "debug"),
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", "localhost:6379"),
        ("RUNTIME_ROOT", "/data"),
        ("RUNTIME_SUBDIRECTORY", "ratelimit"),
        ("RUNTIME_APPDIRECTORY", "config"),
    ]);
    assert_eq!(settings.statistics.statsd, None);
    assert_eq!(settings.log.level.as_str(), "debug");
    assert_eq!(settings.redis.topology, Topology::Single(Endpoint::Tcp("localhost".into(), 6379)));
    let Source::Files(runtime) = settings.source else { panic!("files") };
    assert_eq!(runtime.root.join(runtime.subdirectory).join(runtime.app_directory).to_str(), Some("/data/ratelimit/config"));
}

#[test]
fn what_envoy_gateway_sets_is_taken() {
    let settings = read(&[
        ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
        ("CONFIG_GRPC_XDS_SERVER_URL", "envoy-gateway:18001"),
        ("CONFIG_GRPC_XDS_NODE_ID", "envoy-ratelimit"),
        ("CONFIG_GRPC_XDS_SERVER_USE_TLS", "true"),
        ("CONFIG_GRPC_XDS_CLIENT_TLS_CERT", "/certs/tls.crt"),
        ("CONFIG_GRPC_XDS_CLIENT_TLS_KEY", "/certs/tls.key"),
        ("CONFIG_GRPC_XDS_SERVER_TLS_CACERT", "/certs/ca.crt"),
        ("FORCE_START_WITHOUT_INITIAL_CONFIG", "true"),
        ("GRPC_SERVER_USE_TLS", "true"),
        ("GRPC_SERVER_TLS_CERT", "/certs/tls.crt"),
        ("GRPC_SERVER_TLS_KEY", "/certs/tls.key"),
        ("GRPC_CLIENT_TLS_CACERT", "/certs/ca.crt"),
        ("USE_PROMETHEUS", "true"),
        ("PROMETHEUS_ADDR", ":19001"),
        ("PROMETHEUS_MAPPER_YAML", "/etc/statsd-exporter/conf.yaml"),
        ("USE_STATSD", "false"),
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", "redis:6379"),
        ("RUNTIME_ROOT", "/data"),
        ("RUNTIME_SUBDIRECTORY", "ratelimit"),
        ("RUNTIME_IGNOREDOTFILES", "true"),
        ("RUNTIME_WATCH_ROOT", "false"),
        ("XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", "10485760"),
    ]);
    let Source::Xds(xds) = settings.source else { panic!("xds") };
    assert_eq!((xds.server.as_str(), xds.node_id.as_str(), xds.max_message_bytes), ("envoy-gateway:18001", "envoy-ratelimit", 10 << 20));
    let tls = xds.tls.unwrap();
    assert_eq!(tls.identity, Some(("/certs/tls.crt".into(), "/certs/tls.key".into())));
    assert_eq!(settings.doors.tls.unwrap().client_ca, Some("/certs/ca.crt".into()));
    assert_eq!(settings.statistics.prometheus.unwrap().listen, Listen { host: String::new(), port: 19001 });
    assert!(settings.force_start);
}

#[test]
fn stores_are_read_in_every_form() {
    let tcp = |host: &str, port| Endpoint::Tcp(host.into(), port);
    for (kind, socket, url, expected) in [
        ("SINGLE", "unix", "/tmp/redis.sock", Topology::Single(Endpoint::Unix("/tmp/redis.sock".into()))),
        ("SINGLE", "unix", "redis.sock", Topology::Single(Endpoint::Unix("redis.sock".into()))),
        ("SINGLE", "tcp", "redis:6379", Topology::Single(tcp("redis", 6379))),
        ("single", "tcp", "[::1]:6379", Topology::Single(tcp("::1", 6379))),
        ("SINGLE", "unix", "redis://redis:6380/3", Topology::Single(tcp("redis", 6380))),
        ("SINGLE", "tcp", "redis+unix:///tmp/redis.sock", Topology::Single(Endpoint::Unix("/tmp/redis.sock".into()))),
        ("CLUSTER", "tcp", "a:1,b:2", Topology::Cluster(vec![tcp("a", 1), tcp("b", 2)])),
        ("CLUSTER", "tcp", "redis://a:1,redis://b:2", Topology::Cluster(vec![tcp("a", 1), tcp("b", 2)])),
        ("SENTINEL", "tcp", "main,a:1,b:2", Topology::Sentinel { primary: "main".into(), sentinels: vec![tcp("a", 1), tcp("b", 2)] }),
    ] {
        let settings = read(&[("REDIS_TYPE", kind), ("REDIS_SOCKET_TYPE", socket), ("REDIS_URL", url)]);
        assert_eq!(settings.redis.topology, expected, "{url}");
    }
}

#[test]
fn credentials_and_tls_of_a_store_come_from_variables_or_its_url() {
    let redis = read(&[("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", "a:1"), ("REDIS_AUTH", "limiter:a:b"), ("REDIS_TLS", "1")]).redis;
    assert_eq!((redis.user.as_deref(), redis.password.unwrap().expose_secret()), (Some("limiter"), "a:b"));
    assert!(redis.tls.is_some());
    let redis = read(&[("REDIS_URL", "rediss://u:p@a:1/2"), ("REDIS_AUTH", "other"), ("REDIS_TLS_CACERT", "/ca")]).redis;
    assert_eq!((redis.user.as_deref(), redis.password.unwrap().expose_secret(), redis.database), (Some("u"), "p", 2));
    assert_eq!(redis.tls.unwrap().ca, Some("/ca".into()));
    let any_name = [("REDIS_URL", "rediss://a:1"), ("REDIS_TLS_CACERT", "/ca"), ("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "true")];
    assert!(read(&any_name).redis.tls.unwrap().any_name);
    let settings = read(&[("REDIS_PERSECOND", "true"), ("REDIS_PERSECOND_SOCKET_TYPE", "tls"), ("REDIS_PERSECOND_URL", "b:2")]);
    assert!(settings.per_second.unwrap().tls.is_some() && settings.redis.tls.is_none());
}

#[test]
fn a_bad_variable_is_an_error_that_names_it_and_never_its_value() {
    for (name, value) in [
        ("PORT", "70000"),
        ("PORT", ""),
        ("GRPC_PORT", "eight"),
        ("USE_STATSD", "yes"),
        ("GRPC_MAX_CONNECTION_AGE", "24"),
        ("LOG_LEVEL", "loud"),
        ("CONFIG_TYPE", "file"),
        ("BACKEND_TYPE", "memcache"),
        ("BACKEND_TYPE", "disk"),
        ("USE_CALENDAR_MONTH_RATE_LIMIT", "true"),
        ("NEAR_LIMIT_RATIO", "2"),
        ("LOCAL_CACHE_SIZE_IN_BYTES", "-1"),
        ("EXPIRATION_JITTER_MAX_SECONDS", "1m"),
        ("EXTRA_TAGS", "a"),
        ("STATS_FLUSH_INTERVAL", "0"),
        ("PROMETHEUS_ADDR", "9090"),
        ("PROMETHEUS_PATH", "metrics"),
        ("LIMIT_LIMIT_HEADER", "a b"),
        ("XDS_CLIENT_BACKOFF_RANDOM_FACTOR", "NaN"),
        ("XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", "0"),
        ("CONFIG_GRPC_XDS_NODE_METADATA", "=x"),
        ("REDIS_TYPE", "REPLICA"),
        ("REDIS_SOCKET_TYPE", "udp"),
        ("REDIS_URL", "http://u:hunter2@host"),
        ("REDIS_URL", ""),
    ] {
        let errors = errors(&[(name, value)]);
        assert_eq!(errors.len(), 1, "{name}={value}: {errors:?}");
        assert!(errors[0].starts_with(&format!("{name}: ")) && !errors[0].contains("hunter2"), "{errors:?}");
    }
    for given in [
        [("REDIS_TYPE", "SENTINEL"), ("REDIS_URL", "main")],
        [("GRPC_SERVER_USE_TLS", "true"), ("GRPC_SERVER_TLS_CERT", "/cert")],
        [("USE_PROMETHEUS", "true"), ("USE_DOG_STATSD", "true")],
        [("REDIS_URL", "rediss://a:1/#insecure"), ("REDIS_TYPE", "SINGLE")],
        [("REDIS_TLS", "true"), ("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "true")],
        [("REDIS_TLS", "true"), ("REDIS_TLS_CLIENT_CERT", "/cert")],
    ] {
        assert_eq!(errors(&given).len(), 1, "{given:?}");
    }
}

#[test]
fn every_bad_variable_is_told_at_once() {
    assert_eq!(errors(&[("PORT", "x"), ("USE_STATSD", "x"), ("REDIS_TYPE", "x")]).len(), 3);
}

#[test]
fn a_secret_is_never_printed() {
    let settings = read(&[("REDIS_URL", "redis://u:hunter2@host:1"), ("REDIS_SENTINEL_AUTH", "hunter2")]);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn what_does_nothing_is_told_when_it_is_set() {
    let settings = read(&[("REDIS_POOL_SIZE", "20"), ("TRACING_ENABLED", "true"), ("MEMCACHE_SRV", "")]);
    let names: Vec<_> = settings.without_effect.iter().map(|variable| variable.name).collect();
    assert_eq!(names, ["REDIS_POOL_SIZE", "TRACING_ENABLED"]);
}

#[test]
fn what_no_store_asks_for_is_told_and_not_looked_at() {
    let names = |given: &[(&str, &str)]| read(given).without_effect.iter().map(|variable| variable.name).collect::<Vec<_>>();
    let files = [("REDIS_TLS_CLIENT_CERT", "/cert"), ("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "true"), ("REDIS_SENTINEL_AUTH", "pw")];
    assert_eq!(names(&files), ["REDIS_TLS_CLIENT_CERT", "REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "REDIS_SENTINEL_AUTH"]);
    assert!(read(&files).redis.sentinel_password.is_none());
    let asked =
        [("REDIS_TYPE", "SENTINEL"), ("REDIS_URL", "main,a:1"), ("REDIS_SOCKET_TYPE", "tls"), ("REDIS_TLS_CACERT", "/ca"), files[2]];
    assert_eq!(names(&asked), Vec::<&str>::new());
    let second = [("REDIS_PERSECOND", "true"), ("REDIS_PERSECOND_TLS", "true"), ("REDIS_PERSECOND_URL", "a"), ("REDIS_TLS_CACERT", "/ca")];
    assert_eq!(names(&second), Vec::<&str>::new(), "the files are both stores'");
    assert_eq!(read(&second).per_second.unwrap().tls.unwrap().ca, Some("/ca".into()));
}

#[test]
fn an_age_and_a_time_out_of_0_are_none() {
    let settings = read(&[("GRPC_MAX_CONNECTION_AGE", "0"), ("REDIS_TIMEOUT", "0s")]);
    assert_eq!((settings.doors.max_connection_age, settings.redis.timeout), (None, Duration::from_secs(10)));
}

#[test]
fn statistics_go_one_way() {
    let both = read(&[("USE_PROMETHEUS", "true")]).statistics;
    assert!(both.prometheus.is_some() && both.statsd.is_none());
    let none = read(&[("DISABLE_STATS", "true"), ("USE_PROMETHEUS", "true")]).statistics;
    assert!(none.prometheus.is_none() && none.statsd.is_none());
    assert!(read(&[("USE_DOG_STATSD", "true")]).statistics.dog_statsd.is_some());
    assert_eq!(read(&[("EXTRA_TAGS", "a:b,c:d")]).statistics.extra_tags.len(), 2);
}

#[test]
fn the_switch_is_on_where_the_original_would_have_run() {
    for (given, config_named, on) in [
        (&[][..], false, true),
        (&[], true, false),
        (&[("RUNTIME_ROOT", "/data")], true, true),
        (&[("RUNTIME_ROOT", "")], true, false),
        (&[("CONFIG_TYPE", "GRPC_XDS_SOTW")], true, true),
        (&[("CONFIG_TYPE", "FILE")], true, false),
    ] {
        assert_eq!(drop_in(&Variables::new(given.iter().copied()), config_named), on, "{given:?}");
    }
}

proptest! {
    #[test]
    fn no_values_panic(url in ".*", auth in ".*", kind in "SINGLE|SENTINEL|CLUSTER", rest in "[-a-z0-9:/@,.\\[\\]#=]*") {
        for url in [url, rest] {
            let given = [("REDIS_URL", url.as_str()), ("REDIS_AUTH", &auth), ("REDIS_TYPE", &kind), ("EXTRA_TAGS", &url), ("PROMETHEUS_ADDR", &url)];
            drop(Settings::read(Variables::new(given)));
        }
    }
}
