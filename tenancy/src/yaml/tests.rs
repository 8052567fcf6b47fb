use std::fmt::Write;

use super::*;

const MAX_BYTES: usize = Bounds::PARTITION.bytes;
const MAX_DOCUMENTS: usize = Bounds::PARTITION.documents;
const MAX_NODES: usize = Bounds::PARTITION.nodes;

fn read(text: &str) -> (Vec<Node>, Vec<String>) {
    let (documents, faults) = documents(&Arc::from("f.yaml"), text, Bounds::PARTITION);
    (documents, faults.iter().map(ToString::to_string).collect())
}

#[test]
fn several_documents_are_read_and_empty_ones_skipped() {
    for text in [
        "a: 1\n---\nb: 2\n",
        "---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n",
        "\u{feff}a: 1\r\n---\r\nb: 2\r\n",
        "---\n~\n---\na: 1\n---\nb: 2",
    ] {
        let (documents, faults) = read(text);
        assert_eq!((documents.len(), faults), (2, vec![]), "{text:?}");
    }
    for text in ["", "\n", "# only this\n", "---\n", "...\n"] {
        assert_eq!(read(text), (vec![], vec![]), "{text:?}");
    }
}

#[test]
fn nodes_know_where_they_stand() {
    let (documents, _) = read("# first\nspec:\n  \u{e9}t\u{e9}: [a,\n    b]\n");
    let Value::Mapping(entries) = &documents[0].value else { panic!() };
    let Value::Mapping(inner) = &entries[0].node.value else { panic!() };
    let Value::List(items) = &inner[0].node.value else { panic!() };
    assert_eq!((entries[0].line, entries[0].column), (2, 1));
    assert_eq!((inner[0].line, inner[0].column, &*inner[0].key), (3, 3, "\u{e9}t\u{e9}"));
    assert_eq!((inner[0].node.line, inner[0].node.column), (3, 8), "columns are characters, not bytes");
    assert_eq!((items[1].line, items[1].column), (4, 5));
}

#[test]
fn scalars_follow_yaml_1_2() {
    let text = "[off, yes, 'true', \"1.0\", 1.0, 0x1F, 0o17, 1_000, 2027-01-01T00:00:00Z, 12:30:45, ~, null, '', true, -7, +7, 1e3, .5, 1.2.3, -x, 0x, .]";
    let (documents, faults) = read(text);
    assert_eq!(faults, [] as [&str; 0]);
    let Value::List(items) = &documents[0].value else { panic!() };
    let scalars: Vec<_> = items.iter().map(|item| item.value.clone()).collect();
    let text = |text: &str| Value::Scalar(Scalar::Text(text.into()));
    let whole = |number| Value::Scalar(Scalar::Integer(number));
    let float = |number| Value::Scalar(Scalar::Float(number));
    let null = Value::Scalar(Scalar::Null);
    assert_eq!(
        scalars,
        [
            text("off"),
            text("yes"),
            text("true"),
            text("1.0"),
            float(1.0),
            whole(31),
            whole(15),
            text("1_000"),
            text("2027-01-01T00:00:00Z"),
            text("12:30:45"),
            null.clone(),
            null,
            text(""),
            Value::Scalar(Scalar::Bool(true)),
            whole(-7),
            whole(7),
            float(1000.0),
            float(0.5),
            text("1.2.3"),
            text("-x"),
            text("0x"),
            text("."),
        ]
    );
}

#[test]
fn an_alias_stands_for_a_copy() {
    let (documents, faults) = read("a: &x [1, 2]\nb: *x\n");
    assert_eq!(faults, [] as [&str; 0]);
    let Value::Mapping(entries) = &documents[0].value else { panic!() };
    assert_eq!(entries[0].node.value, entries[1].node.value);
    // Anchors are of one document.
    assert_eq!(read("a: &x 1\n---\nb: *x\n").1, ["f.yaml:3:4: -: is not YAML: while parsing node, found unknown anchor"]);
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let (documents, faults) = read("a: 1\n---\nb: [\n---\nc: 3\n---\nd: }\n---\ne: 5\n");
    assert_eq!(documents.len(), 3);
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn s16_a_file_is_bounded_in_bytes() {
    assert_eq!(read(&" ".repeat(MAX_BYTES)).1, [] as [&str; 0]);
    assert_eq!(read(&" ".repeat(MAX_BYTES + 1)).1, ["f.yaml:0:0: -: has more than 4194304 bytes"]);
}

#[test]
fn s16_a_file_is_bounded_in_documents() {
    let (documents, faults) = read(&"---\na\n".repeat(MAX_DOCUMENTS + 5));
    assert_eq!((documents.len(), faults.len()), (MAX_DOCUMENTS, 1));
    assert_eq!(faults, ["f.yaml:0:0: -: has more than 20000 documents"]);
    // Empty ones count: they cost time, too.
    assert_eq!(read(&"---\n".repeat(MAX_DOCUMENTS + 5)).1.len(), 1);
    // So do broken ones.
    assert_eq!(read(&"--- ]\n".repeat(MAX_DOCUMENTS + 5)).1.len(), MAX_DOCUMENTS + 1);
    assert_eq!(read(&"---\na\n".repeat(MAX_DOCUMENTS)).1, [] as [&str; 0]);
}

#[test]
fn s16_a_file_is_bounded_in_values() {
    let (documents, faults) = read(&format!("[{}]\n---\nnot looked at\n", "a,".repeat(MAX_NODES)));
    assert_eq!((documents.len(), faults.len()), (0, 1));
    assert!(faults[0].ends_with("has more than 400000 values, aliases expanded"), "{faults:?}");
}

#[test]
fn s16_aliases_cannot_multiply() {
    // A billion laughs: ten times ten times ten, written in ten lines.
    let mut text = String::from("l0: &l0 [a, a, a, a, a, a, a, a, a, a]\n");
    for level in 1..10 {
        let inner = format!("*l{}, ", level - 1).repeat(10);
        writeln!(text, "l{level}: &l{level} [{inner}]").unwrap();
    }
    let (documents, faults) = read(&text);
    assert_eq!((documents.len(), faults.len()), (0, 1));
    assert!(faults[0].contains("has more than 400000 values"), "{faults:?}");

    let many = format!("a: &a 1\nb: [{}]\n", "*a, ".repeat(MAX_ALIASES + 1));
    assert!(read(&many).1[0].ends_with("uses more than 1000 aliases"));

    // Anchors inside anchors are copied too: they count.
    let tower = format!("{}{}{}", "[&a ".repeat(40).replace("[&a ", "&a ["), "x, ".repeat(20_000), "]".repeat(40));
    assert!(read(&tower).1[0].contains("has more than 400000 values"));
}

#[test]
fn s16_aliases_cannot_multiply_one_long_text() {
    // Few values, each of them a hundred thousand bytes.
    let long = "x".repeat(100_000);
    for text in [
        format!("a: &a {long}\nb: [{}]\n", "*a, ".repeat(900)),
        format!("a: &a {{ ? {long} : 1 }}\nb: [{}]\n", "*a, ".repeat(900)),
        format!("{}{long}{}", "&a [".repeat(20), "]".repeat(20)),
    ] {
        let (documents, faults) = read(&text);
        assert_eq!(documents.len(), 0);
        assert!(faults[0].contains("bytes of text under anchors and aliases"), "{faults:?}");
    }
    assert_eq!(read(&format!("a: &a {long}\nb: [*a, *a, *a]\n")).1, [] as [&str; 0]);
}

#[test]
fn s16_a_file_is_bounded_in_depth() {
    for deep in [format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "- ".repeat(100_000), "{a: ".repeat(1000)] {
        let (documents, faults) = read(&deep);
        assert_eq!((documents.len(), faults.len()), (0, 1));
        assert!(faults[0].contains("recursion limit") || faults[0].contains("deeper"), "{faults:?}");
    }
    let fine = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert_eq!(read(&fine).1, [] as [&str; 0]);
    // Nor do aliases make it deeper.
    let joined = |above: usize| format!("a: &a {}{}\nb: {}*a{}\n", "[".repeat(40), "]".repeat(40), "[".repeat(above), "]".repeat(above));
    assert_eq!(read(&joined(20)).1, [] as [&str; 0]);
    assert_eq!(read(&joined(30)).1, ["f.yaml:2:34: -: is nested deeper than 64 levels"]);
}
