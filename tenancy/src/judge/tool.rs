//! Tools and the sets that grant them.

use std::collections::BTreeMap;

use super::{
    bound::{MAX_GRANTS, MAX_LISTED, MAX_PATTERNS, MAX_SCHEMA_BYTES, MAX_SCHEMA_VALUES, MAX_SCHEMAS, MAX_TOOLS, at_most, is_enough},
    contract::access,
    draft::DraftApi,
    unread::Unread,
};
use crate::{
    api::Protocol,
    fault::Fault,
    name::{ApiName, WireName},
    place::At,
    policy::Tools,
    resource::{tool::ToolManifest, tool_set::ToolSetManifest},
    tool::{InputSchema, Tool, ToolSet},
};

/// Joins tools and sets: a tool is called through an API of the contract that speaks MCP, and a set holds tools that exist.
pub(super) fn judge(
    tools: Vec<ToolManifest>,
    sets: Vec<ToolSetManifest>,
    contract: &BTreeMap<ApiName, DraftApi>,
    unread: &Unread,
    faults: &mut Vec<Fault>,
) -> Tools {
    let mut joined = Tools::default();
    let mut held = Held::default();
    for (count, manifest) in tools.into_iter().enumerate() {
        let At { value: name, place } = manifest.metadata.name;
        at_most(MAX_TOOLS, count + 1, "tools of a tenant", &place, faults);
        if count >= MAX_TOOLS || is_enough(&place, faults) {
            break;
        }
        match contract.get(&manifest.api.value) {
            None => {
                let fault = manifest.api.fault("no such API in this tenant's contracts");
                faults.push(unread.missing(&manifest.api, fault));
            }
            Some(draft) if draft.api.protocol != Protocol::Mcp => {
                faults.push(manifest.api.fault("this API does not speak MCP (protocol: mcp)"));
            }
            Some(_) => {}
        }
        if let Some(schema) = &manifest.input_schema {
            let bytes = schema.to_string().len();
            at_most(MAX_SCHEMA_BYTES, bytes, "bytes in a schema", &schema.place, faults);
            if bytes > MAX_SCHEMA_BYTES {
                continue;
            }
        }
        let (description, api) = (manifest.description, manifest.api.value);
        let (wire, place) = manifest.wire.map_or_else(|| (WireName::from(&name), place), |wire| (wire.value, wire.place));
        let input_schema = manifest.input_schema.and_then(|schema| compile(schema, &mut held, faults));
        let tool = Tool { name: name.clone(), wire, description, api, input_schema };
        if let Err(other) = joined.add(tool) {
            faults.push(place.fault(format!("the tools {other} and {name} of one API have the same name at its server")));
        }
    }
    let mut grants = 0;
    for (count, manifest) in sets.into_iter().enumerate() {
        let At { value: name, place } = manifest.metadata.name;
        at_most(MAX_TOOLS, count + 1, "sets of tools of a tenant", &place, faults);
        if count >= MAX_TOOLS || is_enough(&place, faults) {
            break;
        }
        at_most(MAX_LISTED, manifest.tools.len(), "tools in a set", &place, faults);
        grants += manifest.tools.len();
        at_most(MAX_GRANTS, grants, "tools in all sets of a tenant", &place, faults);
        access(&manifest.access, &place, faults);
        if grants > MAX_GRANTS {
            // An error stands: what is over the bound is not looked at.
            break;
        }
        for tool in manifest.tools.iter().take(MAX_LISTED).filter(|tool| !joined.tools.contains_key(&tool.value)) {
            faults.push(unread.missing(tool, tool.fault("no such tool in this tenant's registry")));
        }
        let tools = manifest.tools.into_iter().map(|tool| tool.value).collect();
        joined.sets.insert(name.clone(), ToolSet { name, tools, access: manifest.access });
    }
    joined
}

/// What the schemas of a tenant hold together: each is time of everybody's load, and memory while its policy is kept.
#[derive(Default)]
struct Held {
    patterns: usize,
    schemas: usize,
    values: usize,
}

/// A value and all within it.
fn values(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(items) => items.iter().fold(1, |sum, item| sum + values(item)),
        serde_json::Value::Object(members) => members.values().fold(1, |sum, member| sum + values(member)),
        _ => 1,
    }
}

/// A schema as it is enforced, unless there was too much of them before.
fn compile(schema: At<serde_json::Value>, held: &mut Held, faults: &mut Vec<Fault>) -> Option<InputSchema> {
    let At { value, place } = schema;
    if held.patterns > MAX_PATTERNS || held.schemas > MAX_SCHEMAS || held.values > MAX_SCHEMA_VALUES {
        return None;
    }
    held.values += values(&value);
    at_most(MAX_SCHEMA_VALUES, held.values, "values in the schemas of a tenant", &place, faults);
    if held.values > MAX_SCHEMA_VALUES {
        return None;
    }
    match InputSchema::compile(value) {
        Ok(schema) => {
            held.patterns += schema.patterns();
            held.schemas += schema.schemas();
            at_most(MAX_PATTERNS, held.patterns, "patterns in the schemas of a tenant", &place, faults);
            at_most(MAX_SCHEMAS, held.schemas, "schemas within the schemas of a tenant", &place, faults);
            Some(schema)
        }
        Err(error) => {
            faults.push(place.fault(error.to_string()));
            None
        }
    }
}
