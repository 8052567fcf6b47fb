//! `kind: Platform`: what the operator decides for everybody.

use std::path::PathBuf;

use super::{Metadata, topic::Topics};
use crate::{
    limit::RateLimit,
    name::{Region, ResourceName},
    place::At,
    platform::{AuthFailures, ContextToken, LimiterSettings, PathTemplate, Routing},
    upstream::Origin,
};

/// The platform as written.
#[derive(Debug, Clone)]
pub struct PlatformManifest {
    /// `metadata`
    pub metadata: Metadata<ResourceName>,
    /// `spec.issuerTemplate`
    pub issuer_template: Option<At<String>>,
    /// `spec.jwksTemplate`
    pub jwks_template: Option<At<String>>,
    /// `spec.routing`
    pub routing: Option<Routing>,
    /// `spec.addressing`
    pub addressing: Option<AddressingManifest>,
    /// `spec.rateLimit`: the global limit.
    pub rate_limit: At<RateLimit>,
    /// `spec.unresolved`
    pub unresolved: Option<At<RateLimit>>,
    /// `spec.authFailures`
    pub auth_failures: Option<AuthFailures>,
    /// `spec.topics`
    pub topics: Topics,
    /// `spec.allowInsecureIssuers`
    pub allow_insecure_issuers: bool,
    /// `spec.regions`
    pub regions: Vec<(At<Region>, PathBuf)>,
    /// `spec.limiter`
    pub limiter: Option<LimiterSettings>,
    /// `spec.contextToken`
    pub context_token: Option<ContextToken>,
    /// `spec.upstreams.allowLoopback`
    pub allow_loopback: bool,
    /// `spec.upstreams.connect`
    pub connect: Vec<(At<Origin>, At<Origin>)>,
}

/// `spec.addressing`
#[derive(Debug, Clone)]
pub struct AddressingManifest {
    /// `host`
    pub host: Option<At<String>>,
    /// `path`; absent: `/{tenant}/{api}`, or `/{api}` where a host template names the tenant.
    pub path: Option<At<PathTemplate>>,
}
