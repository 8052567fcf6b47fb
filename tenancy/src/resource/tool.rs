//! `kind: Tool`: one MCP tool of a tenant's registry.

use super::Metadata;
use crate::{
    name::{ApiName, ToolName},
    place::At,
};

/// A tool as written.
#[derive(Debug, Clone)]
pub struct ToolManifest {
    /// `metadata`
    pub metadata: Metadata<ToolName>,
    /// `spec.description`; empty where there is none.
    pub description: String,
    /// `spec.api`: it must be in the contract and speak MCP, judged later.
    pub api: At<ApiName>,
    /// `spec.inputSchema`: a JSON Schema, always an object.
    pub input_schema: Option<At<serde_json::Value>>,
}
