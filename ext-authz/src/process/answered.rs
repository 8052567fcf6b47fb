//! The answer of an MCP server out of which personal data was taken: it must still say whose it is.

use bulkhead_content::Budget;

use super::{
    Side,
    reader::{Reader, Reading, Refusal, Representation},
};
use crate::{guardrails::mcp::rewritten, json};

/// What another reader writes anew, looked at.
pub struct Answered(Box<dyn Reader>);

impl Answered {
    /// By that reader.
    #[must_use]
    pub fn by(reader: impl Reader + 'static) -> Self {
        Self(Box::new(reader))
    }
}

impl Reader for Answered {
    fn is_light(&self, representation: &Representation, bytes: usize) -> bool {
        self.0.is_light(representation, bytes)
    }

    fn read(&self, representation: &Representation, body: &[u8], budget: &Budget<'_>) -> Result<Reading, Refusal> {
        let reading = self.0.read(representation, body, budget)?;
        if let Some(body) = &reading.body {
            budget.hold(json::weight(body)).map_err(|why| Refusal::unread(Side::Response, why))?;
            let judged = rewritten::judge_answer(body);
            judged.map_err(|denial| Refusal::new(Side::Response, denial).because_of(reading.found.clone()))?;
        }
        Ok(reading)
    }
}
