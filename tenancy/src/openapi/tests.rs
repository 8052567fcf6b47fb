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
