//! `kind: Subscription`: one client's or one key's share.

use super::Metadata;
use crate::{
    limit::RateLimit,
    name::{ApiName, SubscriptionName},
    place::At,
    subscription::Holder,
};

/// A subscription as written.
#[derive(Debug, Clone)]
pub struct SubscriptionManifest {
    /// `metadata`
    pub metadata: Metadata<SubscriptionName>,
    /// `spec.apis`; absent: every API of the contract.
    pub apis: Option<Vec<At<ApiName>>>,
    /// `spec.keyHash` or `spec.clientId`: exactly one of them.
    pub holder: At<Holder>,
    /// `spec.rateLimit`
    pub rate_limit: Option<At<RateLimit>>,
    /// `spec.expiresAt`, in seconds since 1970.
    pub expires_at: Option<At<i64>>,
}
