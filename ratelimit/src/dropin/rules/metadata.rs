//! `metadata` of a rule: free structure that goes into the answer's dynamic metadata when the rule matches.

use std::collections::BTreeMap;

/// The members of one `metadata` block.
pub type Metadata = BTreeMap<String, Value>;

/// A value of it: what a `google.protobuf.Struct` can hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A structure.
    Map(Metadata),
}
