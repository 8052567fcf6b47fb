//! Fields of a JSON object, each taken once; what is left over is unknown.

use std::{collections::HashMap, str::FromStr};

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::JsonError;

/// The fields of one message.
pub(super) struct Fields<'a> {
    path: String,
    map: &'a Map<String, Value>,
    taken: Vec<&'a str>,
}

/// One value and where it stands.
pub(super) struct Field<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Fields<'a> {
    /// Reads a whole message: whatever `read` does not take is unknown.
    pub(super) fn whole<T>(value: &'a Value, read: impl FnOnce(&mut Self) -> Result<T, JsonError>) -> Result<T, JsonError> {
        Field { path: String::new(), value }.message(read)
    }

    /// A field by its proto name (`raw_value`), in either spelling; absent where it is missing or null.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<Field<'a>>, JsonError> {
        let camel = camel(name);
        let mut found = None;
        for (key, value) in self.map.iter().filter(|(key, _)| **key == name || **key == camel) {
            let path = join(&self.path, key);
            if found.is_some() {
                return Err(JsonError { path, message: "stands here twice, once in each spelling".to_owned() });
            }
            self.taken.push(key);
            found = Some(Field { path, value });
        }
        Ok(found.filter(|field| !field.value.is_null()))
    }

    /// As [`Fields::take`], read as the message it holds.
    pub(super) fn message<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> Result<T, JsonError>) -> Result<Option<T>, JsonError> {
        self.take(name)?.map(|field| field.message(read)).transpose()
    }

    /// A list of messages; empty where it is missing.
    pub(super) fn messages<T>(&mut self, name: &str, mut read: impl FnMut(&mut Self) -> Result<T, JsonError>) -> Result<Vec<T>, JsonError> {
        let Some(field) = self.take(name)? else { return Ok(Vec::new()) };
        let Value::Array(values) = field.value else { return Err(field.wrong("must be a list")) };
        let at = |(index, value)| Field { path: format!("{}[{index}]", field.path), value };
        values.iter().enumerate().map(at).map(|field| field.message(&mut read)).collect()
    }

    /// A map with text keys; empty where it is missing.
    pub(super) fn map<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(Field<'a>) -> Result<T, JsonError>,
    ) -> Result<HashMap<String, T>, JsonError> {
        let Some(field) = self.take(name)? else { return Ok(HashMap::new()) };
        let Value::Object(entries) = field.value else { return Err(field.wrong("must be an object")) };
        let entry = |(key, value): (&String, &'a Value)| {
            let field = Field { path: join(&field.path, key), value };
            read(field).map(|value| (key.clone(), value))
        };
        entries.iter().map(entry).collect()
    }

    /// A text; empty where it is missing.
    pub(super) fn text(&mut self, name: &str) -> Result<String, JsonError> {
        self.take(name)?.map_or_else(|| Ok(String::new()), Field::text)
    }

    /// Bytes from base64; empty where they are missing.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Vec<u8>, JsonError> {
        let Some(field) = self.take(name)? else { return Ok(Vec::new()) };
        let Value::String(text) = field.value else { return Err(field.wrong("must be base64 text")) };
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        GeneralPurpose::new(alphabet, config).decode(text).map_err(|_| field.wrong("must be base64 text"))
    }

    /// A truth value; false where it is missing.
    pub(super) fn truth(&mut self, name: &str) -> Result<bool, JsonError> {
        let Some(field) = self.take(name)? else { return Ok(false) };
        field.value.as_bool().ok_or_else(|| field.wrong("must be true or false"))
    }

    /// An integer, from a number or a text; absent where it is missing.
    pub(super) fn integer<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, JsonError> {
        let Some(field) = self.take(name)? else { return Ok(None) };
        let text = match field.value {
            Value::String(text) => text.clone(),
            Value::Number(number) => whole(number),
            _ => return Err(field.wrong("must be an integer")),
        };
        text.parse().map(Some).map_err(|_| field.wrong("must be an integer in the field's range"))
    }

    /// An enum, from its name (as `named` knows it) or number; 0 where it is missing.
    pub(super) fn choice(&mut self, name: &str, named: impl FnOnce(&str) -> Option<i32>) -> Result<i32, JsonError> {
        let Some(field) = self.take(name)? else { return Ok(0) };
        let number = match field.value {
            Value::String(text) => named(text),
            Value::Number(number) => whole(number).parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| field.wrong("must be one of the enum's names, or its number"))
    }

    /// A text that has a form of its own (a time, a duration); absent where it is missing.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, JsonError> {
        let Some(field) = self.take(name)? else { return Ok(None) };
        let parsed = field.value.as_str().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| field.wrong(what))
    }

    /// Takes a field without reading it.
    pub(super) fn skip(&mut self, name: &str) -> Result<(), JsonError> {
        self.take(name).map(drop)
    }

    fn finish(self) -> Result<(), JsonError> {
        match self.map.keys().find(|key| !self.taken.contains(&key.as_str())) {
            Some(unknown) => Err(JsonError { path: join(&self.path, unknown), message: "is not a field of this message".to_owned() }),
            None => Ok(()),
        }
    }
}

impl<'a> Field<'a> {
    pub(super) fn message<T>(self, read: impl FnOnce(&mut Fields<'a>) -> Result<T, JsonError>) -> Result<T, JsonError> {
        let Value::Object(map) = self.value else { return Err(self.wrong("must be an object")) };
        let mut fields = Fields { path: self.path, map, taken: Vec::new() };
        let message = read(&mut fields)?;
        fields.finish()?;
        Ok(message)
    }

    pub(super) fn text(self) -> Result<String, JsonError> {
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.wrong("must be text"))
    }

    /// The JSON object itself, of a field that holds any.
    pub(super) fn object(self) -> Result<&'a Map<String, Value>, JsonError> {
        self.value.as_object().ok_or_else(|| self.wrong("must be an object"))
    }

    fn wrong(&self, message: &str) -> JsonError {
        JsonError { path: self.path.clone(), message: message.to_owned() }
    }
}

/// A number as an integer's text: `7` and `7.0` are 7.
fn whole(number: &serde_json::Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// `raw_value` is `rawValue`.
pub(super) fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
