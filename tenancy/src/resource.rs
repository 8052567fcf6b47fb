//! Resources as they are written: every field of the eight kinds, with the place of whatever a later check may complain about.
//!
//! What one value alone can show to be wrong (a name, a URL, a range, an unknown field) is found here. What needs other resources (a plan
//! that does not exist, an upstream outside the tenant's list) is found by whoever judges them together.

pub mod access;
mod audiences;
pub mod contract;
pub mod guardrail;
pub mod plan;
pub mod platform;
mod quota;
pub mod rate_limit;
pub mod subscription;
pub mod tenant;
pub mod tool;
pub mod tool_set;
pub mod topic;

use std::{fmt::Display, str::FromStr, sync::Arc};

use crate::{
    decode::{Faults, Fields, Reader},
    fault::Fault,
    name::{Namespace, TenantUid},
    place::{At, Place},
    tree::Node,
    yaml,
};

/// Reads every resource of a partition's file, and reports every error of it. A resource with an error is not among the resources; the
/// others are.
#[must_use]
pub fn read(file: &Arc<str>, text: &str) -> (Vec<Resource>, Vec<Fault>) {
    read_within(file, text, yaml::Bounds::PARTITION)
}

/// Reads every resource of a file, within bounds; as [`read`].
#[must_use]
pub fn read_within(file: &Arc<str>, text: &str, bounds: yaml::Bounds) -> (Vec<Resource>, Vec<Fault>) {
    let mut spent = yaml::Spent::default();
    let (documents, faults) = yaml::documents_sharing(file, text, bounds, &mut spent);
    read_documents(file, text, &documents, faults, bounds, &mut spent)
}

/// Reads every resource of a file that was read as YAML, with these faults, and shares bounds with others; as [`read`].
#[must_use]
pub fn read_documents(
    file: &Arc<str>,
    text: &str,
    documents: &[Node],
    mut faults: Vec<Fault>,
    bounds: yaml::Bounds,
    spent: &mut yaml::Spent,
) -> (Vec<Resource>, Vec<Fault>) {
    // Whoever writes a file in place empties it first: what it held is neither deleted nor allowed meanwhile.
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        faults.push(Place::file(file).fault("is empty: if what it held is meant to be gone, delete the file"));
    }
    let mut faults = Faults::from(faults).compiling(bounds.patterns.saturating_sub(spent.patterns));
    let resources = documents.iter().filter_map(|document| Resource::read(file, document, &mut faults)).collect();
    spent.patterns += faults.compiled();
    (resources, faults.in_order())
}

/// Reads one resource that came as JSON (a Kubernetes object); `object` stands where a file's name would. Its faults have no lines.
#[must_use]
pub fn read_json(object: &Arc<str>, json: &serde_json::Value) -> (Option<Resource>, Vec<Fault>) {
    let mut faults = Faults::default();
    let resource = Resource::read(object, &Node::from(json), &mut faults);
    (resource, faults.in_order())
}

/// The `apiVersion` of every kind.
pub const API_VERSION: &str = "gostoa.dev/v1alpha1";

/// One resource of a file, by kind.
#[derive(Debug, Clone)]
pub enum Resource {
    /// `kind: Platform`
    Platform(platform::PlatformManifest),
    /// `kind: Plan`
    Plan(plan::PlanManifest),
    /// `kind: Tenant`
    Tenant(tenant::TenantManifest),
    /// `kind: UniversalAPIContract`
    Contract(contract::ContractManifest),
    /// `kind: GuardrailPolicy`
    Guardrail(guardrail::GuardrailManifest),
    /// `kind: Subscription`
    Subscription(subscription::SubscriptionManifest),
    /// `kind: Tool`
    Tool(tool::ToolManifest),
    /// `kind: ToolSet`
    ToolSet(tool_set::ToolSetManifest),
}

/// `metadata`, with the kind's own type of name. Labels, annotations and what else Kubernetes keeps there are accepted and not kept.
#[derive(Debug, Clone)]
pub struct Metadata<N> {
    /// `metadata.name`
    pub name: At<N>,
    /// `metadata.namespace`; absent: whichever partition the file lies in.
    pub namespace: Option<At<Namespace>>,
    /// `metadata.uid`, as Kubernetes sets it.
    pub uid: Option<At<TenantUid>>,
}

impl<N> Metadata<N>
where
    N: FromStr<Err: Display>,
{
    fn read(top: &mut Fields<'_>) -> Option<Self> {
        top.required("metadata", |metadata| {
            metadata.object(|fields| {
                let name = fields.required("name", |reader| reader.at(|value| value.parse()));
                let namespace = fields.optional("namespace", |reader| reader.at(|value| value.parse()));
                let uid = fields.optional("uid", |reader| reader.at(|value| value.parse()));
                fields.ignore(&KUBERNETES_METADATA);
                Some(Self { name: name?, namespace, uid })
            })
        })
    }
}

/// The rest of Kubernetes' ObjectMeta.
const KUBERNETES_METADATA: [&str; 12] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
];

impl Resource {
    fn read(file: &Arc<str>, document: &Node, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let resource = Reader::new(document, Place::file(file), faults).object(|top| {
            let version = top.required("apiVersion", |reader| reader.one_of(&[(API_VERSION, ())]));
            let kind = top.required("kind", |reader| reader.one_of(&Kind::ALL.map(|kind| (kind.as_str(), kind))));
            top.ignore(&["metadata", "spec"]);
            // What another version or kind means is not known.
            version?;
            match kind? {
                Kind::Platform => platform::PlatformManifest::read(top).map(Self::Platform),
                Kind::Plan => plan::PlanManifest::read(top).map(Self::Plan),
                Kind::Tenant => tenant::TenantManifest::read(top).map(Self::Tenant),
                Kind::UniversalApiContract => contract::ContractManifest::read(top).map(Self::Contract),
                Kind::GuardrailPolicy => guardrail::GuardrailManifest::read(top).map(Self::Guardrail),
                Kind::Subscription => subscription::SubscriptionManifest::read(top).map(Self::Subscription),
                Kind::Tool => tool::ToolManifest::read(top).map(Self::Tool),
                Kind::ToolSet => tool_set::ToolSetManifest::read(top).map(Self::ToolSet),
            }
        });
        // A field that was wrong and has a default would else be read as its default.
        resource.filter(|_| faults.count() == before)
    }

    /// The kind, as `kind` writes it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Platform(_) => Kind::Platform,
            Self::Plan(_) => Kind::Plan,
            Self::Tenant(_) => Kind::Tenant,
            Self::Contract(_) => Kind::UniversalApiContract,
            Self::Guardrail(_) => Kind::GuardrailPolicy,
            Self::Subscription(_) => Kind::Subscription,
            Self::Tool(_) => Kind::Tool,
            Self::ToolSet(_) => Kind::ToolSet,
        }
    }

    /// `metadata.name`, whatever the kind.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Platform(one) => one.metadata.name.as_str(),
            Self::Plan(one) => one.metadata.name.as_str(),
            Self::Tenant(one) => one.metadata.name.as_str(),
            Self::Contract(one) => one.metadata.name.as_str(),
            Self::Guardrail(one) => one.metadata.name.as_str(),
            Self::Subscription(one) => one.metadata.name.as_str(),
            Self::Tool(one) => one.metadata.name.as_str(),
            Self::ToolSet(one) => one.metadata.name.as_str(),
        }
    }

    /// Where `metadata.name` stands: the place of a complaint about the whole resource.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::Platform(one) => &one.metadata.name.place,
            Self::Plan(one) => &one.metadata.name.place,
            Self::Tenant(one) => &one.metadata.name.place,
            Self::Contract(one) => &one.metadata.name.place,
            Self::Guardrail(one) => &one.metadata.name.place,
            Self::Subscription(one) => &one.metadata.name.place,
            Self::Tool(one) => &one.metadata.name.place,
            Self::ToolSet(one) => &one.metadata.name.place,
        }
    }

    /// `metadata.namespace`, if it is written.
    #[must_use]
    pub fn namespace(&self) -> Option<&At<Namespace>> {
        match self {
            Self::Platform(one) => one.metadata.namespace.as_ref(),
            Self::Plan(one) => one.metadata.namespace.as_ref(),
            Self::Tenant(one) => one.metadata.namespace.as_ref(),
            Self::Contract(one) => one.metadata.namespace.as_ref(),
            Self::Guardrail(one) => one.metadata.namespace.as_ref(),
            Self::Subscription(one) => one.metadata.namespace.as_ref(),
            Self::Tool(one) => one.metadata.namespace.as_ref(),
            Self::ToolSet(one) => one.metadata.namespace.as_ref(),
        }
    }
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Platform,
    Plan,
    Tenant,
    UniversalApiContract,
    GuardrailPolicy,
    Subscription,
    Tool,
    ToolSet,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Platform,
        Self::Plan,
        Self::Tenant,
        Self::UniversalApiContract,
        Self::GuardrailPolicy,
        Self::Subscription,
        Self::Tool,
        Self::ToolSet,
    ];

    /// Whether only the operator may write it: in a tenant's partition it is refused.
    #[must_use]
    pub const fn is_operators(self) -> bool {
        matches!(self, Self::Platform | Self::Plan | Self::Tenant)
    }

    /// As `kind` writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "Platform",
            Self::Plan => "Plan",
            Self::Tenant => "Tenant",
            Self::UniversalApiContract => "UniversalAPIContract",
            Self::GuardrailPolicy => "GuardrailPolicy",
            Self::Subscription => "Subscription",
            Self::Tool => "Tool",
            Self::ToolSet => "ToolSet",
        }
    }
}
