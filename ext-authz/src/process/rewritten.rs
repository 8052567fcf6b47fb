//! An MCP message out of which personal data was taken: it is judged again, as its server will read it.

use std::sync::Arc;

use bulkhead_content::Budget;
use bulkhead_tenancy::{api::Api, policy::TenantPolicy};

use super::{
    Side,
    reader::{Reader, Reading, Refusal, Representation},
};
use crate::{guardrails::mcp::rewritten, json};

/// What another reader writes anew, judged.
pub struct Rewritten {
    by: Box<dyn Reader>,
    policy: Arc<TenantPolicy>,
    api: Arc<Api>,
}

impl Rewritten {
    /// By that reader, for an API that speaks MCP.
    #[must_use]
    pub fn by(reader: impl Reader + 'static, policy: &Arc<TenantPolicy>, api: &Arc<Api>) -> Self {
        Self { by: Box::new(reader), policy: Arc::clone(policy), api: Arc::clone(api) }
    }
}

impl Reader for Rewritten {
    fn is_light(&self, representation: &Representation, bytes: usize) -> bool {
        self.by.is_light(representation, bytes) && rewritten::is_light(bytes, &self.policy, &self.api)
    }

    fn read(&self, representation: &Representation, body: &[u8], budget: &Budget<'_>) -> Result<Reading, Refusal> {
        let reading = self.by.read(representation, body, budget)?;
        if let Some(body) = &reading.body {
            budget.hold(json::weight(body)).map_err(|why| Refusal::unread(Side::Request, why))?;
            let judged = rewritten::judge(body, &self.policy, &self.api);
            judged.map_err(|denial| Refusal::new(Side::Request, denial).because_of(reading.found.clone()))?;
        }
        Ok(reading)
    }
}
