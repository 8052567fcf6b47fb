//! `topics`: what labels mean, in a Platform and in a GuardrailPolicy.

use std::collections::BTreeMap;

use crate::{guardrail::TopicMatcher, place::At};

/// Labels with what they mean. Patterns are not compiled yet.
pub type Topics = BTreeMap<String, At<TopicMatcher>>;
