//! MCP tools and the sets that grant them.

use crate::{
    api::Access,
    name::{ApiName, ToolName, ToolSetName, WireName},
};

pub mod schema;

pub use schema::InputSchema;

/// One tool of a tenant's registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The resource's name: what allowlists, sets of tools, records and explanations call it.
    pub name: ToolName,
    /// What its server calls it: `tools/call` and `tools/list`. No two tools of one API have the same.
    pub wire: WireName,
    /// What it is for.
    pub description: String,
    /// The API that it is called through.
    pub api: ApiName,
    /// What its arguments must fit; absent: any object.
    pub input_schema: Option<InputSchema>,
}

/// A set of tools with one access rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSet {
    /// Its name.
    pub name: ToolSetName,
    /// What it holds.
    pub tools: Vec<ToolName>,
    /// Who may use it.
    pub access: Access,
}
