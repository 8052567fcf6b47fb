use serde_json::{Map, json};

use super::*;

fn compiled(schema: Value) -> InputSchema {
    InputSchema::compile(schema).unwrap()
}

fn refused(schema: Value) -> SchemaError {
    InputSchema::compile(schema).unwrap_err()
}

/// `d0` uses `d1` twice, that `d2` twice, and so on.
fn doubling(levels: usize) -> Value {
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        definitions.insert(format!("d{level}"), json!({ "allOf": [next, next] }));
    }
    definitions.insert(format!("d{levels}"), json!({ "type": "object" }));
    json!({ "$ref": "#/$defs/d0", "$defs": definitions })
}

#[test]
fn arguments_fit_or_do_not() {
    let schema = compiled(json!({
        "type": "object",
        "properties": { "city": { "type": "string", "pattern": "^[A-Z][a-z]{1,30}$" }, "days": { "type": "integer", "maximum": 7 } },
        "required": ["city"],
        "additionalProperties": false,
    }));
    assert_eq!(schema.fits(&json!({ "city": "Paris", "days": 7 })), Ok(()));
    for misfit in [
        json!({}),
        json!({ "city": 1 }),
        json!({ "city": "paris" }),
        json!({ "city": "Paris", "days": 8 }),
        json!({ "city": "Paris", "x": 1 }),
    ] {
        assert_eq!(schema.fits(&misfit), Err(Misfit::Schema), "{misfit}");
    }
    assert_eq!((schema.patterns(), schema.is_light()), (1, false));
    assert!(compiled(json!({})).is_light());
}

#[test]
fn a_member_that_a_lax_parser_takes_for_one_of_the_schemas_is_refused() {
    let schema = compiled(json!({ "properties": { "amount": { "maximum": 100 }, "iss": {}, "within": { "properties": { "kind": {} } } } }));
    for name in ["Amount", "AMOUNT", "amount ", "amount\u{0}", "am\u{200b}ount", "\u{ff41}mount", "i\u{17f}s", "\u{212a}ind"] {
        assert_eq!(schema.fits(&json!({ name: 1000 })), Err(Misfit::Confusable), "{name:?}");
        assert_eq!(schema.fits(&json!({ "within": [{ name: 1000 }] })), Err(Misfit::Confusable), "{name:?}");
    }
    assert_eq!(schema.fits(&json!({ "amount": 1, "amounts": 2, "Other": 3 })), Ok(()));
    // Both are the schema's own: then both are judged.
    let both = compiled(json!({ "properties": { "a": {}, "A": { "const": 1 } } }));
    assert_eq!(both.fits(&json!({ "a": 2, "A": 1 })), Ok(()));
    assert_eq!(both.fits(&json!({ "A": 2 })), Err(Misfit::Schema));
}

#[test]
fn s16_references_that_double_are_refused_and_few_are_not() {
    assert_eq!(refused(doubling(20)), SchemaError::Large(10_000));
    assert_eq!(compiled(doubling(8)).fits(&json!({})), Ok(()));
}

#[test]
fn s16_what_is_nested_too_deeply_is_refused_by_reference_too() {
    let mut nested = json!({});
    let mut definitions = Map::new();
    for level in 0..80 {
        nested = json!({ "not": nested });
        definitions.insert(format!("d{level}"), json!({ "$ref": format!("#/$defs/d{}", level + 1) }));
    }
    definitions.insert("d80".to_owned(), json!(true));
    assert_eq!(refused(nested), SchemaError::Deep(64));
    assert_eq!(refused(json!({ "$ref": "#/$defs/d0", "$defs": definitions })), SchemaError::Deep(64));
}

#[test]
fn s16_a_schema_that_refers_to_itself_takes_a_moment_however_it_does() {
    let mut deep = json!({});
    for _ in 0..120 {
        deep = json!({ "a": deep });
    }
    let again = json!({ "properties": { "a": { "$ref": "#" } } });
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }] }),
        json!({ "allOf": [again, again] }),
        json!({ "allOf": [again, again], "unevaluatedProperties": { "$ref": "#" } }),
        json!({ "allOf": [{ "additionalProperties": { "allOf": [{ "$ref": "#" }, { "$ref": "#/allOf/0" }] } }, { "patternProperties": { "^a": { "$ref": "#" } } }] }),
        json!({ "$ref": "#/$defs/a", "$defs": {
            "a": { "properties": { "a": { "allOf": [{ "$ref": "#/$defs/b" }, { "$ref": "#/$defs/b" }] } } },
            "b": { "properties": { "a": { "allOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }, { "$ref": "#/$defs/b" }] } } },
        } }),
    ] {
        let _ = compiled(schema).fits(&deep);
    }
}

#[test]
fn s16_nothing_is_fetched_and_no_dialect_is_made_up() {
    for reference in ["http://127.0.0.1:1/x.json", "file:///etc/passwd", "other.json", "#anchor", "#/%24defs/x", "//host/x"] {
        assert!(matches!(refused(json!({ "properties": { "a": { "$ref": reference } } })), SchemaError::Reference(_)), "{reference}");
        assert!(matches!(refused(json!({ "$defs": { "unused": { "$ref": reference } } })), SchemaError::Reference(_)), "{reference}");
    }
    for keyword in ["$dynamicRef", "$anchor", "$dynamicAnchor", "$recursiveRef"] {
        assert_eq!(refused(json!({ keyword: "#x" })), SchemaError::Reference(keyword.to_owned()));
    }
    assert_eq!(refused(json!({ "items": { "$id": "http://example.com/x" } })), SchemaError::Reference("$id".to_owned()));
    assert_eq!(refused(json!({ "$ref": "#/$defs/none" })), SchemaError::Dangling("#/$defs/none".to_owned()));
    assert_eq!(refused(json!({ "$schema": "http://127.0.0.1:1/own" })), SchemaError::Dialect);
    compiled(json!({ "$schema": "http://json-schema.org/draft-07/schema#", "type": "object" }));
}

#[test]
fn s16_patterns_are_linear_bounded_and_counted() {
    for pattern in ["(a{0,1000}){0,1000}", "(?=a)a", "(a)\\1", "("] {
        assert!(matches!(refused(json!({ "pattern": pattern })), SchemaError::Invalid(_)), "{pattern}");
    }
    let many: Vec<Value> = (0..300).map(|nth| json!({ "pattern": format!("^{nth}$") })).collect();
    assert_eq!(refused(json!({ "anyOf": many })), SchemaError::Patterns(256));
    let long = "\\w".repeat(600);
    assert_eq!(refused(json!({ "pattern": long })), SchemaError::Pattern(1024));
    assert_eq!(refused(json!({ "properties": { "a": { "patternProperties": { long: {} } } } })), SchemaError::Pattern(1024));
    let some: Vec<Value> = (0..200).map(|nth| json!({ "pattern": format!("^{nth}$") })).collect();
    assert_eq!(compiled(json!({ "anyOf": some })).fits(&json!("a".repeat(64 * 1024))), Err(Misfit::TooLarge));
}

#[test]
fn what_is_no_schema_is_refused_without_end_or_excess() {
    for schema in [json!({ "type": "nothing" }), json!({ "properties": [] }), json!({ "required": "x".repeat(10_000) })] {
        let SchemaError::Invalid(message) = refused(schema) else { panic!("another error") };
        assert!(message.len() < 400, "{message}");
    }
}

#[test]
fn a_schema_is_equal_and_shown_by_its_text() {
    let (one, two) = (compiled(json!({ "type": "object" })), compiled(json!({ "type": "object" })));
    assert_eq!(one, two);
    assert_ne!(one, compiled(json!({})));
    assert_eq!(format!("{one:?}"), format!("{:?}", json!({ "type": "object" })));
}

#[test]
fn s16_what_is_wrong_with_a_schema_is_told_without_its_values() {
    for schema in [
        json!({ "$ref": "https://u:hunter2@example.com/x" }),
        json!({ "$ref": "#/u:hunter2@host" }),
        json!({ "$ref": ["hunter2"] }),
        json!({ "type": "hunter2" }),
        json!({ "properties": "hunter2" }),
        json!({ "properties": { "a": { "required": { "default": "hunter2" } } } }),
        json!({ "pattern": "(hunter2" }),
    ] {
        let said = refused(schema).to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
    let said = refused(json!({ "properties": { "a": { "type": 1 } } })).to_string();
    assert!(said.contains("/properties/a/type"), "{said}");
}
