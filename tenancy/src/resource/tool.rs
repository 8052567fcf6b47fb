//! `kind: Tool`: one MCP tool of a tenant's registry.

use super::Metadata;
use crate::{
    decode::Fields,
    name::{ApiName, ToolName, WireName},
    place::At,
};

/// A tool as written.
#[derive(Debug, Clone)]
pub struct ToolManifest {
    /// `metadata`
    pub metadata: Metadata<ToolName>,
    /// `spec.name`: what the server calls it; absent: as the resource is named.
    pub wire: Option<At<WireName>>,
    /// `spec.description`; empty where there is none.
    pub description: String,
    /// `spec.api`: it must be in the contract and speak MCP, judged later.
    pub api: At<ApiName>,
    /// `spec.inputSchema`: a JSON Schema, always an object.
    pub input_schema: Option<At<serde_json::Value>>,
}

impl ToolManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let wire = spec.optional("name", |reader| reader.at(|value| value.parse()));
                let description = spec.optional("description", |value| value.prose()).unwrap_or_default();
                let api = spec.required("api", |reader| reader.at(|value| value.parse()));
                let input_schema = spec.optional("inputSchema", |reader| reader.at(|value| value.json_object()));
                Some(Self { metadata: metadata?, wire, description, api: api?, input_schema })
            })
        })
    }
}
