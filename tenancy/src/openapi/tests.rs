use std::sync::Arc;

use super::*;
use crate::{fault::Fault, yaml::Spent};

fn document(paths: &str) -> Result<OpenApi, Vec<Fault>> {
    let mut faults = Vec::new();
    let file = Arc::from("api.yaml");
    read(&file, &format!("openapi: 3.0.3\npaths:\n{paths}"), &mut Spent::default(), &mut faults).ok_or(faults)
}

/// The methods of a path: `-` where the document has none.
#[track_caller]
fn methods(document: &OpenApi, path: &str) -> String {
    document.methods(path).map_or_else(|| "-".to_owned(), |methods| methods.iter().cloned().collect::<Vec<_>>().join(" "))
}

#[test]
fn a_path_of_the_document_is_reached_and_no_other() {
    let document = document(
        "  /invoices: { get: {}, post: {}, summary: x, parameters: [] }
  /invoices/{id}: { get: {}, delete: {} }
  /invoices/latest: { get: {} }
  /invoices/{id}/lines/{line}: { put: {} }
  /files/{name}.json: { get: {} }
  /files/{name}: { head: {} }
  /v{major}-{minor}/x: { get: {} }
  /a%20b: { get: {} }
  /slash/: { get: {} }
  /: { options: {} }
  /none: {}
  x-ours: { anything: 1 }
",
    )
    .unwrap();
    for (path, wanted) in [
        ("/invoices", "GET POST"),
        ("/invoices/7", "DELETE GET"),
        // Concrete paths go before templates, in whatever encoding they come.
        ("/invoices/latest", "GET"),
        ("/invoices/l%61test", "GET"),
        ("/invoices/%256c%61test", "GET"),
        ("/invoices/latest;a=b", "-"),
        ("/invoices/latest%3Fa=b", "-"),
        ("/invoices/latest%2523a", "-"),
        ("/invoices/%6catest%3ba", "-"),
        ("/invoices/", "-"),
        ("/invoices/7/", "-"),
        ("/invoices/7/lines", "-"),
        ("/invoices/7/lines/1", "PUT"),
        ("/invoices/7/lines/1/2", "-"),
        ("/Invoices", "-"),
        ("/files/a.json", "GET"),
        ("/files/.json", "HEAD"),
        ("/files/a.b.json", "GET"),
        ("/files/a", "HEAD"),
        ("/v1-2/x", "GET"),
        ("/v1-/x", "-"),
        ("/v-2/x", "-"),
        ("/a%20b", "GET"),
        ("/slash/", "GET"),
        ("/slash", "-"),
        ("", "OPTIONS"),
        ("/", "OPTIONS"),
        ("/none", ""),
        ("/x-ours", "-"),
        ("/inv%C3oices", "-"),
    ] {
        assert_eq!(methods(&document, path), wanted, "{path}");
    }
}

#[test]
fn references_inside_the_document_are_followed_and_none_out_of_it() {
    let inside = document("  /a: { $ref: '#/paths/~1b' }\n  /b: { get: {} }\n").unwrap();
    assert_eq!(methods(&inside, "/a"), "GET");
    for (reference, says) in [
        ("https://example.com/paths.yaml#/a", "nothing is fetched"),
        ("other.yaml", "nothing is fetched"),
        ("#/components/pathItems/gone", "not in the document"),
        ("#/paths/~1a", "and so on"),
    ] {
        let faults = document(&format!("  /a:\n    $ref: '{reference}'\n")).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(says) && fault.line >= 3), "{reference}: {faults:?}");
    }
}

#[test]
fn a_bad_document_is_an_error_with_its_line() {
    for (paths, says) in [
        ("  a: { get: {} }", "slash"),
        ("  /a?b: { get: {} }", "query"),
        ("  /a/{: { get: {} }", "without its"),
        ("  /a/{}: { get: {} }", "without a name"),
        ("  /a/}: { get: {} }", "without its"),
        ("  /{a}{b}: { get: {} }", "nothing between"),
        ("  /{a}: { get: {} }\n  /{b}: { get: {} }", "there twice"),
        ("  /a: { get: {} }\n  /%61: { get: {} }", "there twice"),
        ("  /a: { get: {}, get: {} }", "there twice"),
        ("  /a: [get]", "mapping"),
        ("  - /a", "mapping"),
    ] {
        let faults = document(paths).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(says) && fault.line >= 2), "{paths}: {faults:?}");
    }
    let many: String = (0..=MAX_PATHS).map(|number| format!("  /p{number}: {{}}\n")).collect();
    assert!(document(&many).unwrap_err().iter().any(|fault| fault.message.contains("2000 paths")));
}

#[test]
fn s16_a_document_is_shown_by_its_hash_which_is_of_all_that_it_says() {
    let shown = |paths: &str| format!("{:?}", document(paths).unwrap());
    let one = shown("  /a: { get: {} }\n");
    assert!(one.len() < 80, "{one}");
    assert_eq!(one, shown("  \"/a\":\n    get: { summary: x }\n"));
    let others =
        ["  /a: { post: {} }\n", "  /b: { get: {} }\n", "  /{a}: { get: {} }\n", "  /a: { get: {}, post: {} }\n", "  /a/b: { get: {} }\n"];
    assert!(others.iter().all(|other| shown(other) != one));
}

/// The faults of a document, as lines.
fn wrong(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    assert!(read(&Arc::from("api.json"), text, &mut Spent::default(), &mut faults).is_none());
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_that_is_read_and_there_twice_is_an_error_where_it_is_again() {
    for (text, says) in [
        ("{\"openapi\": \"3.0.0\",\n\"paths\": {\"/a\": {\"get\": {}}},\n\"paths\": {\"/b\": {}}}", "api.json:3:1: paths: is there twice"),
        ("{\"openapi\": \"3.0.0\",\n\"openapi\": \"3.0.1\", \"paths\": {}}", "api.json:2:1: openapi: is there twice"),
        ("{\"swagger\": \"2.0\",\n\"swagger\": \"2.0\", \"paths\": {}}", "api.json:2:1: swagger: is there twice"),
        (
            "{\"openapi\": \"3.0.0\", \"x\": {\"get\": {}}, \"paths\": {\"/a\": {\"$ref\": \"#/x\",\n\"$ref\": \"#/y\"}}}",
            "api.json:2:1: paths[\"/a\"][\"$ref\"]: is there twice",
        ),
        (
            "{\"openapi\": \"3.0.0\", \"x\": {\"get\": {}},\n\"x\": {\"put\": {}}, \"paths\": {\"/a\": {\"$ref\": \"#/x\"}}}",
            "api.json:2:1: paths[\"/a\"].$ref.x: is there twice",
        ),
    ] {
        assert_eq!(wrong(text), [says], "{text}");
    }
    // What nobody reads is nobody's business.
    let unread = "openapi: 3.0.0\npaths: { /a: { get: { summary: x, summary: y } } }\nx-a: 1\nx-a: 2\n";
    assert!(read(&Arc::from("api.yaml"), unread, &mut Spent::default(), &mut Vec::new()).is_some());
}

#[test]
fn s16_repeated_methods_and_wide_references_are_bounded() {
    let said = wrong(&format!("{{\"openapi\": \"3.0.0\", \"paths\": {{\"/a\": {{{}\"get\": {{}}}}}}}}", "\"get\": 1,".repeat(50_000)));
    assert!(said.len() < 600, "{}", said.len());
    // 200 paths that each lead to 50,000 fields.
    let paths: String = (0..200).map(|number| format!("\"/{number}\": {{\"$ref\": \"#/x\"}},")).collect();
    let wide: String = (0..50_000).map(|number| format!("\"f{number}\": 1,")).collect();
    let said = wrong(&format!("{{\"openapi\": \"3.0.0\", \"x\": {{{wide}\"get\": {{}}}}, \"paths\": {{{paths}\"/a\": {{}}}}}}"));
    assert!(said.len() == 1 && said[0].contains("refers to too much"), "{said:?}");
    let long = format!("#/{}", "x".repeat(4_096));
    let said = wrong(&format!("{{\"openapi\": \"3.0.0\", \"paths\": {{\"/a\": {{\"$ref\": \"{long}\"}}}}}}"));
    assert!(said.len() == 1 && said[0].ends_with("has more than 4096 bytes"), "{said:?}");
}
