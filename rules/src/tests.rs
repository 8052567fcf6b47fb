//! What rules say, and what they may not be.

use std::collections::BTreeMap;

use crate::{By, Caller, Input, Refused, Request, Resource, Rules, Version, Wrong};

mod hostile;

impl Rules {
    fn asked(&self, input: &Input<'_>) -> Result<(), Refused> {
        self.judge(&input.prepare().ok_or(Refused::TooLarge)?)
    }
}

fn roles(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn input<'a>(roles: &'a [String], headers: &[(&str, &str)]) -> Input<'a> {
    Input {
        caller: Caller {
            tenant: "acme",
            tenant_namespace: "tenant-acme",
            subject: Some("alice"),
            client: None,
            roles,
            scopes: &[],
            subscription: None,
            by: By::Token,
        },
        resource: Resource { namespace: "tenant-acme", api: "billing-api", path: "/invoices/7", method: "GET", tool: None },
        request: Request {
            method: "GET",
            path: "/acme/billing-api/invoices/7",
            query: None,
            host: "gateway.example.com",
            scheme: "https",
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>(),
        },
        mcp: None,
    }
}

#[track_caller]
fn rules(text: &str) -> Rules {
    Rules::compile(text, None).unwrap_or_else(|wrong| panic!("{wrong}:\n{text}"))
}

fn judge(text: &str) -> Result<(), Refused> {
    rules(text).asked(&input(&roles(&["reader", "writer"]), &[("accept", "text/html")]))
}

#[track_caller]
fn wrong(text: &str) -> Wrong {
    match Rules::compile(text, None) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(wrong) => wrong,
    }
}

/// As the second article prints it.
const ARTICLE: &str = r#"allow {
input.resource.namespace == input.caller.tenant_namespace
input.caller.roles[_] == "tenant-admin"
}
"#;

#[test]
fn s16_a_text_has_few_patterns_and_an_equal_one_is_one() {
    let text = |patterns: usize| -> String {
        let each = |nth: usize| format!("regex.match(`(?i)\\pL{}`, \"a\")", nth % patterns);
        (0..100).map(|nth| format!("f{nth} if {}\n", each(nth))).chain(["allow if f0".to_owned()]).collect()
    };
    assert_eq!(Rules::compile(&text(64), None).unwrap().patterns(), 64);
    let wrong = wrong(&text(65));
    assert!(wrong.line == 65 && wrong.message.contains("more than 64"), "{wrong}");
}

#[test]
fn the_articles_rule_works_as_printed() {
    let article = rules(ARTICLE);
    assert_eq!(article.asked(&input(&roles(&["reader", "tenant-admin"]), &[])), Ok(()));
    assert_eq!(article.asked(&input(&roles(&["reader"]), &[])), Err(Refused::NotAllowed));
    let admin = roles(&["tenant-admin"]);
    let mut elsewhere = input(&admin, &[]);
    elsewhere.resource.namespace = "tenant-globex";
    assert_eq!(article.asked(&elsewhere), Err(Refused::NotAllowed));
}

#[test]
fn only_true_allows() {
    let allowed = [
        "allow := true",
        "allow if input.caller.tenant == \"acme\"",
        "package my.own\nimport rego.v1\nallow if \"reader\" in input.caller.roles",
        "package x\nimport future.keywords.in\nallow { \"reader\" in input.caller.roles }",
        "default allow := false\nallow if count(input.caller.roles) == 2",
        "deny contains \"no admin\" if not \"reader\" in input.caller.roles\nallow if count(deny) == 0",
        "grants := {\"GET\": {\"reader\"}, \"POST\": {\"writer\"}}\nallow if some role in input.caller.roles\nallow if grants[input.resource.method][\"x\"]",
        "mine := {role | some role in input.caller.roles; startswith(role, \"r\")}\nallow if mine == {\"reader\"}",
        "ok(role) if role in {\"reader\", \"admin\"}\nallow if { some role in input.caller.roles; ok(role) }",
        "allow if every role in input.caller.roles { role in {\"reader\", \"writer\"} }",
        "allow if startswith(input.request.path, sprintf(\"/%s/%s/\", [input.caller.tenant, input.resource.api]))",
        "allow if concat(\"/\", [\"\", input.caller.tenant, input.resource.api, \"invoices\", \"7\"]) == input.request.path",
        "allow if regex.match(`^/invoices/[0-9]+$`, input.resource.path)",
        "allow if input.request.headers.accept == \"text/html\"",
        "allow if not input.caller.client",
        "allow if split(input.resource.path, \"/\")[2] == \"7\"",
        "allow if to_number(split(input.resource.path, \"/\")[2]) < 10",
        "allow if replace(input.resource.path, \"/\", \"_\") == \"_invoices_7\"",
        "allow if { some i; input.caller.roles[i] == \"writer\"; i > 0 }",
        "allow if false\nelse := true if input.caller.by == \"token\"",
    ];
    for text in allowed {
        assert_eq!(judge(text), Ok(()), "{text}");
    }
    let refused = [
        ("allow := false", Refused::NotAllowed),
        ("default allow := false", Refused::NotAllowed),
        ("allow if input.caller.tenant == \"globex\"", Refused::NotAllowed),
        ("allow if input.no.such.thing", Refused::NotAllowed),
        ("allow := 1", Refused::NoTruth),
        ("allow := \"true\"", Refused::NoTruth),
        ("allow := {true}", Refused::NoTruth),
        ("allow := [true]", Refused::NoTruth),
        ("allow := null", Refused::NoTruth),
        ("allow := true if input.caller.tenant\nallow := false if input.caller.tenant", Refused::Failed),
        // Undefined in OPA, and `not` of it true.
        ("allow if not startswith(input.caller.tenant, 1)", Refused::Failed),
        ("allow if not to_number(input.caller.tenant)", Refused::Failed),
        ("f(x) := lower(x)\nallow if not f(1)", Refused::Failed),
        ("allow if not sprintf(\"%q\", [1])", Refused::Failed),
        ("allow if 1 / (count(input.caller.roles) - 2) > 0", Refused::Failed),
    ];
    for (text, why) in refused {
        assert_eq!(judge(text), Err(why), "{text}");
    }
}

/// Read as v0, `allow if {...}` is a bare `allow`, which allows everybody, and a rule named `if`.
#[test]
fn v1_text_never_becomes_a_bare_allow() {
    let never = "allow if { input.caller.tenant == \"globex\" }";
    assert_eq!(judge(never), Err(Refused::NotAllowed));
    // v1 with an error in it is not v0.
    for broken in [
        "allow if { input.caller.tenant == \"globex\" }\nother { true }",
        "allow if { input.caller.tenant == \"globex\" }\nallow if {",
        "allow contains 1 if { false }\nx { true }",
        "allow unless { input.caller.tenant }",
        "allow\nif { false }",
        "allow",
        "allow\n{ false }",
        "allow if\n{ false }\nx = y { y := 1 }",
    ] {
        match Rules::compile(broken, None) {
            Err(_) => {}
            Ok(rules) => assert!(rules.asked(&input(&[], &[])).is_err(), "{broken}"),
        }
        let as_v0 = Rules::compile(broken, Some(Version::V0));
        assert!(as_v0.is_err() || as_v0.is_ok_and(|rules| rules.asked(&input(&[], &[])).is_err()), "as v0: {broken}");
    }
    assert!(Rules::compile(never, Some(Version::V0)).is_err());
    assert!(Rules::compile("allow { true }", Some(Version::V1)).is_err());
}

#[test]
fn a_fault_is_told_at_the_authors_line() {
    for (text, line, says) in [
        ("allow if {\n  input.x ==\n}", 3, ""),
        ("package x\n\nallow if {\n  http.send({})\n}", 4, "`http.send`"),
        ("# what it is\n\nallow if {\n  time.now_ns() > 1\n}", 4, "`time.now_ns`"),
        ("allow if {\n  true\n}\n\nallow if walk(input)", 5, "`walk`"),
        ("allow if true\nimport data.other", 2, ""),
        ("import data.other\nallow if other.x", 1, "import"),
        ("allow if true\nb if data.tenants", 2, "`data`"),
        ("allow if f(1)\nf(x) if f(x)", 2, "reaches itself"),
        ("allow if a\na if b\nb if a", 2, "reaches itself"),
        ("allow if true with input as {}", 1, "`with`"),
        ("b := true", 1, "`allow`"),
        ("allow contains 1", 1, "neither a set"),
        ("allow(x) := true", 1, "function"),
        ("allow if true\na.b.c := 1", 2, "plain name"),
        ("allow if true\ncount := 1", 2, "`count`"),
        ("allow if true\nstrings if true\ninput := 1", 3, "input"),
        ("allow if true\ndata := 1", 2, "data"),
        ("allow if count(1, 2)", 1, "1 arguments"),
        ("allow if true\nx := y", 2, ""),
        ("allow if regex.match(input.caller.tenant, \"x\")", 1, "stand there"),
        ("allow if regex.match(\"(\", \"x\")", 1, "no regular expression"),
        ("allow if regex.match(`(a{1000}){1000}`, \"x\")", 1, "too large"),
        ("allow if 1e999999999 > 1", 1, "number"),
        (&format!("allow if regex.match(`{0}\n{0}`, \"x\")", "a".repeat(600)), 1, "more than 1024 bytes"),
    ] {
        let wrong = wrong(text);
        assert_eq!(wrong.line, line, "{wrong}\n{text}");
        assert!(wrong.message.contains(says), "{wrong}\n{text}");
        assert!(!wrong.message.contains('\n'), "{wrong}");
    }
}

#[test]
fn no_function_outside_the_list_is_callable() {
    for (name, (_, arguments)) in regorus::unstable::BUILTINS.iter() {
        let given = vec!["1"; usize::from(*arguments)].join(", ");
        let compiled = Rules::compile(&format!("allow if {name}({given})"), None);
        let listed = crate::builtins::names().any(|listed| listed == *name);
        assert_eq!(compiled.is_ok(), listed, "{name}: {:?}", compiled.err());
    }
    for name in ["print", "walk", "http.send", "opa.runtime", "time.now_ns", "rand.intn", "trace", "io.jwt.decode", "net.lookup_ip_addr"] {
        assert!(Rules::compile(&format!("allow if {name}(1)"), None).is_err(), "{name}");
    }
}

/// What compiles for the names on the list is also there: a name that regorus does not know would fail at every request.
#[test]
fn every_function_on_the_list_is_there() {
    let ours = ["concat", "replace", "sprintf", "to_number", "regex.match"];
    for name in crate::builtins::names() {
        assert!(ours.contains(&name) || regorus::unstable::BUILTINS.contains_key(name), "{name}");
    }
}

#[test]
fn texts_do_not_see_each_other() {
    let one = rules("package shared\nallow := true\nsecret := 1");
    let two = rules("package shared\nallow if secret_of_one\nsecret_of_one if false");
    assert_eq!(one.asked(&input(&[], &[])), Ok(()));
    assert_eq!(two.asked(&input(&[], &[])), Err(Refused::NotAllowed));
    assert!(Rules::compile("package shared\nallow if secret == 1", None).is_err());
}

#[test]
fn what_is_larger_than_a_rule_may_be_asked_about_is_refused() {
    let rules = rules("allow if not input.request.headers.bad");
    let long = "x".repeat(crate::MAX_TEXT_BYTES + 1);
    assert_eq!(rules.asked(&input(&[], &[("bad", &long)])), Err(Refused::TooLarge));
    let many: Vec<_> = (0..crate::MAX_VALUES).map(|number| number.to_string()).collect();
    assert_eq!(rules.asked(&input(&many, &[])), Err(Refused::TooLarge));
    let wide = vec!["x".repeat(1 << 10); 33];
    assert_eq!(rules.asked(&input(&wide, &[])), Err(Refused::TooLarge));
    assert_eq!(rules.asked(&input(&[], &[])), Ok(()));
}

#[test]
fn a_call_of_a_tool_is_judged_with_its_arguments() {
    let asked = |text: &str, arguments: &str| {
        let none = roles(&[]);
        let mcp = Some(crate::Mcp { method: Some("tools/call"), tool: Some("get_weather"), arguments: Some(arguments) });
        rules(text).asked(&Input { mcp, ..input(&none, &[]) })
    };
    let city =
        r#"allow if { input.mcp.tool == "get_weather"; input.mcp.arguments.where.city == "Paris"; input.mcp.arguments.days[_] == 2 }"#;
    assert_eq!(asked(city, r#"{"where":{"city":"Paris"},"days":[1,2]}"#), Ok(()));
    assert_eq!(asked(city, r#"{"where":{"city":"Rome"},"days":[1,2]}"#), Err(Refused::NotAllowed));
    // Nothing is left out that a `not` could miss: what is too large denies.
    let not = "allow if not input.mcp.arguments.evil";
    assert_eq!(asked(not, "{}"), Ok(()));
    let (long, many) = (format!(r#"{{"x":"{}"}}"#, "x".repeat(9_000)), format!(r#"{{"x":[{}1]}}"#, "1,".repeat(1_100)));
    for large in [long, many, format!(r#"{{"x":"{}"}}"#, "\\u0041".repeat(40_000))] {
        assert_eq!(asked(not, &large), Err(Refused::TooLarge));
    }
    assert_eq!(asked(not, "{"), Err(Refused::TooLarge), "no JSON");
}

#[test]
fn it_is_known_whether_a_text_may_read_arguments() {
    for (text, reads) in [
        ("allow := true", false),
        (r#"allow if { input.mcp.tool == "x"; input.mcp.method == "y"; input.resource.tool == "z"; input.caller.by == "key" }"#, false),
        ("allow if input.mcp.arguments.x", true),
        (r#"allow if input["mcp"].arguments"#, true),
        (r#"allow if input["m\u0063p"]["x"]"#, true),
        ("allow if { m := input.mcp; m.tool }", true),
        ("allow if { i := input; i.caller }", true),
        ("allow if input[_].tool", true),
        ("allow if { some part in input; part.tool }", true),
        ("allow if { every part in input { part } }", true),
        ("allow if object.get(input, \"mcp\", {}) == {}", true),
        ("f(x) if x.mcp\nallow if f(input)", true),
        ("allow if { count({1 | input.mcp}) == 1 }", true),
        ("deny contains \"evil\" if input.mcp.arguments.evil\nallow if count(deny) == 0", true),
        ("allow if input.caller == input.mcp.arguments", true),
    ] {
        assert_eq!(rules(text).reads_arguments(), reads, "{text}");
    }
}

#[test]
fn what_is_built_of_arguments_is_reckoned_as_anything() {
    // A list of texts times a list of texts is fine; of arguments, each item may be all of them.
    let pairs = |of: &str| {
        format!("allow if {{ xs := [[a, b] | some a in {of}; some b in {of}]; ys := [[x, y] | some x in xs; some y in xs]; ys == ys }}")
    };
    assert!(Rules::compile(&pairs("input.mcp.arguments"), None).is_err());
    for (one, two) in
        [("input.mcp.arguments.x", "[1]"), (r#"input["mcp"]["arguments"]"#, "{}"), (r#"input["mcp"]["argum\u0065nts"]"#, "{}")]
    {
        let text =
            format!("allow if {{ xs := [{one} | some i in input.caller.roles]; ys := [xs | some i in input.caller.roles]; ys == {two} }}");
        assert!(Rules::compile(&text, None).is_err(), "{text}");
    }
}
