//! docker-compose.yml, read: what it starts its services with is what the tests start them with.

use serde_json::Value;

use crate::parts;

/// The file, its merge keys resolved.
///
/// # Panics
/// Where it is no YAML.
#[must_use]
pub fn file() -> Value {
    let path = parts::workspace().join("docker-compose.yml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The command of a service.
///
/// # Panics
/// Where it has none.
#[must_use]
pub fn command(service: &str) -> Vec<String> {
    let file = file();
    let command = file["services"][service]["command"].as_array().unwrap_or_else(|| panic!("{service} has a command"));
    command.iter().map(|word| word.as_str().expect("a command is a list of words").to_owned()).collect()
}

/// The command of one of our services less `serve` and the flags that name addresses and folders, each of which must be there. What is
/// left is what a test passes on.
///
/// # Panics
/// Where one of them is missing.
#[must_use]
pub fn arguments(service: &str, replaced: &[&str]) -> Vec<String> {
    let mut words = command(service);
    assert_eq!(words.remove(0), "serve");
    for flag in replaced {
        let place = words.iter().position(|word| word == flag).unwrap_or_else(|| panic!("{service} is started with {flag}"));
        words.drain(place..place + 2);
    }
    words
}
