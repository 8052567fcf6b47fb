//! What a message says, as the tenant's rules are asked about it.

use std::sync::Arc;

use bulkhead_tenancy::{
    name::{ToolName, WireName},
    tool::Tool,
};
use serde_json::Value;

/// One message. An answer to a request of the server has no method, and what is sent without a message says nothing.
#[derive(Clone, Default, PartialEq)]
pub struct Said {
    /// The method.
    pub method: Option<String>,
    /// The tool that is called, by the resource's name and by the server's.
    pub tool: Option<(ToolName, WireName)>,
    /// The arguments of the call, an object.
    pub arguments: Option<Arc<Value>>,
}

impl Said {
    pub(super) fn method(method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..Self::default() }
    }

    pub(super) fn call(method: &str, tool: &Tool, arguments: &Arc<Value>) -> Self {
        let tool = Some((tool.name.clone(), tool.wire.clone()));
        Self { tool, arguments: Some(Arc::clone(arguments)), ..Self::method(method) }
    }
}
