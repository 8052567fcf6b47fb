//! `kind: ToolSet`: tools with one access rule.

use super::Metadata;
use crate::{
    api::Access,
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
