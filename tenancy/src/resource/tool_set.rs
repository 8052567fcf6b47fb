//! `kind: ToolSet`: tools with one access rule.

use super::{Metadata, access};
use crate::{
    api::Access,
    decode::Fields,
    name::{ToolName, ToolSetName},
    place::At,
};

/// A set of tools as written.
#[derive(Debug, Clone)]
pub struct ToolSetManifest {
    /// `metadata`
    pub metadata: Metadata<ToolSetName>,
    /// `spec.tools`: each must be in the registry, judged later.
    pub tools: Vec<At<ToolName>>,
    /// `spec.access`
    pub access: Access,
}

impl ToolSetManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let tools = spec.required("tools", |reader| reader.distinct(|value| value.parse()));
                let access = spec.optional("access", access::read).unwrap_or_default();
                Some(Self { metadata: metadata?, tools: tools?, access })
            })
        })
    }
}
