//! Tools and the sets that grant them.

use std::collections::BTreeMap;

use super::{
    bound::{MAX_LISTED, MAX_SCHEMA_BYTES, MAX_TOOLS, at_most, is_enough},
    contract::access,
    draft::DraftApi,
};
use crate::{
    api::Protocol,
    fault::Fault,
    name::ApiName,
    place::At,
    policy::Tools,
    resource::{tool::ToolManifest, tool_set::ToolSetManifest},
    tool::{Tool, ToolSet},
};

/// Joins tools and sets: a tool is called through an API of the contract that speaks MCP, and a set holds tools that exist.
pub(super) fn judge(
    tools: Vec<ToolManifest>,
    sets: Vec<ToolSetManifest>,
    contract: &BTreeMap<ApiName, DraftApi>,
    faults: &mut Vec<Fault>,
) -> Tools {
    let mut joined = Tools::default();
    for (count, manifest) in tools.into_iter().enumerate() {
        let At { value: name, place } = manifest.metadata.name;
        at_most(MAX_TOOLS, count + 1, "tools of a tenant", &place, faults);
        if count >= MAX_TOOLS || is_enough(&place, faults) {
            break;
        }
        match contract.get(&manifest.api.value) {
            None => faults.push(manifest.api.fault("no such API in this tenant's contracts")),
            Some(draft) if draft.api.protocol != Protocol::Mcp => {
                faults.push(manifest.api.fault("this API does not speak MCP (protocol: mcp)"));
            }
            Some(_) => {}
        }
        if let Some(schema) = &manifest.input_schema {
            at_most(MAX_SCHEMA_BYTES, schema.to_string().len(), "bytes in a schema", &schema.place, faults);
        }
        let (description, api) = (manifest.description, manifest.api.value);
        let input_schema = manifest.input_schema.map(|schema| schema.value);
        joined.tools.insert(name.clone(), Tool { name, description, api, input_schema });
    }
    for (count, manifest) in sets.into_iter().enumerate() {
        let At { value: name, place } = manifest.metadata.name;
        at_most(MAX_TOOLS, count + 1, "sets of tools of a tenant", &place, faults);
        if count >= MAX_TOOLS || is_enough(&place, faults) {
            break;
        }
        at_most(MAX_LISTED, manifest.tools.len(), "tools in a set", &place, faults);
        access(&manifest.access, &place, faults);
        for tool in manifest.tools.iter().filter(|tool| !joined.tools.contains_key(&tool.value)) {
            faults.push(tool.fault("no such tool in this tenant's registry"));
        }
        let tools = manifest.tools.into_iter().map(|tool| tool.value).collect();
        joined.sets.insert(name.clone(), ToolSet { name, tools, access: manifest.access });
    }
    joined
}
