//! Texts and inputs that are made to cost. What holds is told by the outcome: that each is refused, at load or by its budget, and that
//! the process is still there.

use proptest::prelude::*;

use super::{input, judge, roles, rules};
use crate::{MAX_INPUT_BYTES, MAX_VALUES, Refused, Rules};

/// `count` lines, each made of its number and the one before.
fn chain(count: usize, line: impl Fn(usize, usize) -> String) -> String {
    (1..=count).map(|number| line(number, number - 1) + "\n").collect()
}

#[test]
fn what_doubles_is_refused_at_load() {
    let doubling = [
        chain(40, |x, y| format!("x{x} := [x{y}, x{y}]")) + "x0 := 1\nallow if x40 == [x39, x39]",
        chain(40, |x, y| format!("x{x} := {{\"a\": x{y}, \"b\": x{y}}}")) + "x0 := 1\nallow if x40 == 1",
        format!("allow if {{\nx0 := input.caller.roles\n{}x40 == 1\n}}", chain(40, |x, y| format!("x{x} := [x{y}, x{y}]"))),
        format!("allow if {{\nx0 = [1]\n{}x40 == 1\n}}", chain(40, |x, y| format!("[x{y}, x{y}] = x{x}"))),
        format!("allow if {{\nx0 := [1]\n{}x40 == 1\n}}", chain(40, |x, y| format!("x{x} := array.concat(x{y}, x{y})"))),
        format!("allow if {{\nx0 := 3\n{}x40 > 1\n}}", chain(40, |x, y| format!("x{x} := x{y} * x{y}"))),
        format!("{}x0 := 9\nallow if x9 > 1", chain(9, |x, y| format!("x{x} := x{y} * x{y}"))),
        "d(x) := [x, x]\nallow if ".to_owned() + &"d(".repeat(28) + "1" + &")".repeat(28) + " == 1",
        chain(40, |x, y| format!("f{x}(a) := f{y}([a, a])")) + "f0(a) := a\nallow if f40(1) == 1",
        // Lists of lists of all there is.
        "a := [x | some x in input.caller.roles; some y in input.caller.roles]\nb := [a | some x in a]\nc := [b | some x in a]\nallow if c == b".to_owned(),
        "allow if [input | some x in input.caller.roles] == 1".to_owned(),
        "a contains [x, y] if { some x, y in input.caller.roles }\nb := [a | some x in a]\nallow if b == 1".to_owned(),
        "allow if { x := {y: y | some y in input.caller.roles}; z := {x: x | some q in x}; z == 1 }".to_owned(),
        "allow if { some x in [[1]]; y := [x, x, y] }".to_owned(),
    ];
    for text in doubling {
        assert!(Rules::compile(&text, None).is_err(), "accepted:\n{text}");
    }
}

#[test]
fn what_is_large_but_bounded_is_not_refused() {
    for text in [
        "allow if [[role, input.resource.path, input.resource.method] | some role in input.caller.roles] != []",
        "pairs := {[one, two] | some one in input.caller.roles; some two in input.caller.roles}\nallow if count(pairs) == 4",
        "grants := {\"reader\": [\"GET\"], \"writer\": [\"GET\", \"POST\"]}\nmine := {method | some role in input.caller.roles; some method in grants[role]}\nallow if mine == {\"GET\", \"POST\"}",
        "by_role := {role: {m | some m in [\"GET\", \"POST\"]} | some role in input.caller.roles}\nallow if by_role.reader[\"GET\"]",
        "x := 3 * 4 * 5 * 6\nallow if x == 360",
    ] {
        assert_eq!(judge(text), Ok(()), "{text}");
    }
}

/// Loops in loops end by the budget, with the same answer however busy the machine is.
#[test]
fn what_takes_long_is_spent() {
    let many: Vec<_> = (0..600).map(|number| format!("role-{number}")).collect();
    for text in [
        "allow if count([x | some x in input.caller.roles; some y in input.caller.roles; some z in input.caller.roles]) > 0",
        "allow if { some x in input.caller.roles; some y in input.caller.roles; some z in input.caller.roles; x == y; y == z; x == \"none\" }",
        "s contains [x, y] if { some x in input.caller.roles; some y in input.caller.roles }\nallow if count(s) > 0",
        "f(x) := count([y | some y in input.caller.roles; y != x])\nallow if { some x in input.caller.roles; f(x) > 1000 }",
        "allow if not never\nnever if { some x in input.caller.roles; some y in input.caller.roles; some z in input.caller.roles; x == [y, z] }",
        "allow if every x in input.caller.roles { every y in input.caller.roles { every z in input.caller.roles { x != [y, z] } } }",
    ] {
        assert_eq!(rules(text).asked(&input(&many, &[])), Err(Refused::Spent), "{text}");
        // The next one has a budget of its own.
        assert_eq!(judge("allow := true"), Ok(()));
    }
}

#[test]
fn text_that_grows_ends_at_its_bound() {
    let long = "x".repeat(8000);
    for text in [
        "allow if { x := concat(\"\", [input.request.headers.long, input.request.headers.long]); x }",
        "allow if replace(input.request.headers.long, \"x\", input.request.headers.long)",
        "allow if sprintf(\"%s%s\", [input.request.headers.long, input.request.headers.long])",
        "allow if sprintf(\"%999999999d\", [1])",
        "allow if sprintf(\"%\u{b2}d\", [1])",
        "allow if to_number(\"1e999999\") > 1",
    ] {
        assert_eq!(rules(text).asked(&input(&[], &[("long", &long)])), Err(Refused::Failed), "{text}");
    }
}

#[test]
fn what_is_deep_is_refused_at_load() {
    let deep = [
        format!("allow if {}1{} == 1", "[".repeat(3000), "]".repeat(3000)),
        format!("allow if {}1{} == 1", "(".repeat(3000), ")".repeat(3000)),
        format!("allow if 1{} == 1", "+1".repeat(400)),
        format!("allow if 1{} == 1", " +\n1".repeat(15_000)),
        format!("allow if 1{} == 1", ("+1".repeat(500) + "\n").repeat(65)),
        format!("allow if x{}", ("[x".repeat(400) + "\n").repeat(70)),
        format!("allow if x{} == 1\nx := {{1}}", " |\nx".repeat(15_000)),
        format!("allow if input{}", "\n.a".repeat(15_000)),
        format!("allow if input{}", "[0]".repeat(300)),
        format!("allow if {}1{}", "count([1 | x := ".repeat(60), "])".repeat(60)),
        chain(200, |x, y| format!("x{x} if x{y}")) + "x0 := true\nallow if x200",
        chain(200, |x, y| format!("f{x}(a) := f{y}(a)")) + "f0(a) := a\nallow if f200(1) == 1",
        format!("allow if {{\n{}}}", "input.caller.roles[_]\n".repeat(2000)),
        format!("allow if {{ {} }}", "true; ".repeat(160).trim_end_matches("; ")),
        format!("allow if {}true", "not ".repeat(300)),
        format!("allow if -{}1 == 1", "-".repeat(900)),
        "allow if true\n".repeat(4000),
        format!("package a{}\nallow if true", ".b".repeat(500)),
    ];
    for text in deep {
        let compiled = Rules::compile(&text, None);
        // Whatever is accepted after all must be harmless on a small stack.
        if let Ok(rules) = compiled {
            let judged = std::thread::spawn(move || rules.asked(&input(&roles(&["a"]), &[]))).join();
            panic!("accepted, and gives {judged:?}: {}...", &text[..text.len().min(60)]);
        }
    }
}

/// The deepest that is accepted, on the stack of a thread of the pool.
#[test]
fn the_deepest_that_is_accepted_fits_the_stack() {
    let nested = |levels: usize| format!("{}x{}", "[".repeat(levels), "]".repeat(levels));
    let mut accepted = 0;
    for rules in [1, 2, 4, 8, 12, 16, 24, 32] {
        for levels in [1, 3, 6, 9] {
            for (function, loops) in [(false, 0), (false, 5), (true, 0), (true, 5)] {
                let body = "some x in input.caller.roles\n".to_owned() + &"input.caller.roles[_]\n".repeat(loops);
                let text = if function {
                    chain(rules, |one, other| {
                        format!(
                            "f{one}(a) := {} if {{\nx := f{other}(a)\n{}}}",
                            nested(levels.min(2)),
                            "input.caller.roles[_]\n".repeat(loops)
                        )
                    }) + "f0(a) := a\nallow if f"
                        + &format!("{rules}(1) != 0")
                } else {
                    chain(rules, |one, other| format!("x{one} if {{\n{body}{} != 1\nx{other}\n}}", nested(levels)))
                        + "x0 := true\nallow if x"
                        + &rules.to_string()
                };
                if let Ok(compiled) = Rules::compile(&text, None) {
                    accepted += 1;
                    let judge = move || compiled.asked(&input(&roles(&["a"]), &[]));
                    // tokio's threads have two MiB; the harness of a debug build must do with it too.
                    let judged = std::thread::Builder::new().stack_size(2 << 20).spawn(judge).unwrap().join();
                    assert!(judged.is_ok(), "{text}");
                }
            }
        }
    }
    assert!(accepted > 20, "{accepted}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_the_compiler(text in "\\PC{0,80}") {
        let _ = Rules::compile(&text, None);
    }

    #[test]
    fn no_text_of_the_languages_words_breaks_it(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        let text = words.join(" ");
        if let Ok(rules) = Rules::compile(&text, None) {
            let _ = rules.asked(&input(&roles(&["reader"]), &[("accept", "x")]));
        }
        let _ = Rules::compile(&format!("allow if {{ {text} }}"), None).map(|rules| rules.asked(&input(&roles(&["reader"]), &[])));
    }

    #[test]
    fn no_input_breaks_a_rule(names in proptest::collection::vec("\\PC{0,40}", 0..20), value in "\\PC{0,200}") {
        let text = "allow if { some role in input.caller.roles; startswith(role, sprintf(\"%s\", [role])); lower(input.request.headers.x) != upper(role); \
                    split(role, \"\") != []; trim(role, input.request.headers.x) != substring(role, 1, 2); replace(role, \"\", \"y\"); indexof(role, \"\u{e9}\") < 9 }";
        let _ = rules(text).asked(&input(&names, &[("x", &value)]));
    }
}

const WORDS: &[&str] = &[
    "allow",
    "if",
    "contains",
    "else",
    "not",
    "some",
    "in",
    "every",
    "x",
    "y",
    "f(x)",
    "f(",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ":=",
    "=",
    "==",
    "|",
    "&",
    "-",
    "*",
    "%",
    "/",
    ",",
    ";",
    ":",
    ".",
    "\n",
    "\"a\"",
    "`b`",
    "1",
    "0",
    "1e5",
    "true",
    "null",
    "input",
    "input.caller.roles",
    "[_]",
    "data",
    "default",
    "import",
    "package",
    "with",
    "as",
    "count(",
    "sprintf(\"%s\", [x])",
    "set()",
    "{1}",
    "{\"a\": 1}",
    "[x | x := 1]",
    "#",
    "\u{e9}",
    "%s",
];

#[test]
fn the_bounds_of_the_input_are_those_that_growth_reckons_with() {
    // A change of one is a change of how large what a rule builds may become.
    assert_eq!((MAX_VALUES, MAX_INPUT_BYTES), (1 << 10, 32 << 10));
}
