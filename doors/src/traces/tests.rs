use super::*;

#[cfg(feature = "otlp")]
#[test]
fn an_endpoint_is_a_scheme_a_host_and_a_port() {
    for well in ["http://127.0.0.1:4317", "https://collector.example.com:443/", "http://[::1]:4317"] {
        assert_eq!(endpoint(well), Ok(well.to_owned()));
    }
    for wrong in [
        "",
        "collector:4317",
        "http://collector",
        "grpc://collector:4317",
        "http://x:4317/v1/traces",
        "http://x:1?y",
        "http://me:word@x:1",
        "http://",
    ] {
        assert!(endpoint(wrong).is_err(), "{wrong}");
    }
}

#[cfg(not(feature = "otlp"))]
#[test]
fn a_build_without_the_feature_says_so() {
    assert!(endpoint("http://127.0.0.1:4317").unwrap_err().contains("this build"));
}

#[test]
fn a_ratio_is_from_0_to_1() {
    assert_eq!((ratio("0"), ratio("0.25"), ratio("1")), (Ok(0.0), Ok(0.25), Ok(1.0)));
    for wrong in ["", "-0.1", "1.1", "NaN", "inf", "a"] {
        assert!(ratio(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn without_an_endpoint_there_is_no_span() {
    let mut span = Traces::default().span("Check", &MetadataMap::new());
    span.verdict("allow");
    span.failed();
    assert!(span.0.is_none());
}
