//! `/rlconfig`, as the original writes it.

use bulkhead_ratelimit::dropin::{file, rules::Configuration};

#[test]
fn every_limit_is_a_line_and_the_lines_are_sorted() {
    let text = "
domain: d
descriptors:
  - key: b
    rate_limit: { unit: minute, requests_per_unit: 3 }
    shadow_mode: true
    descriptors:
      - key: c
        value: x*
        quota_mode: true
        rate_limit: { unit: WEEK, requests_per_unit: 4 }
  - key: a
    value: v
    rate_limit: { unlimited: true, requests_per_unit: 9 }
  - key: no_limit
";
    let rules = Configuration::build(&[file::parse("f", text).unwrap().draft], false).unwrap();
    assert_eq!(
        rules.dump(),
        "d.a_v: unit=UNKNOWN requests_per_unit=9, shadow_mode: false, quota_mode: false\n\
         d.b.c_x*: unit=WEEK requests_per_unit=4, shadow_mode: false, quota_mode: true\n\
         d.b: unit=MINUTE requests_per_unit=3, shadow_mode: true, quota_mode: false\n"
    );
    assert_eq!(Configuration::default().dump(), "");
}
