//! `rateLimit: { requestsPerMinute, burstMultiplier }`, wherever it stands.

use crate::{
    decode::Reader,
    limit::{MAX_REQUESTS, RateLimit},
    place::At,
};

/// Reads a limit. Rate and capacity stay inside [`MAX_REQUESTS`], so that the store's arithmetic stays exact.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<At<RateLimit>> {
    reader.at(|reader| {
        reader.object(|fields| {
            let requests = fields.required("requestsPerMinute", |reader| reader.whole(0, MAX_REQUESTS));
            let burst = if fields.has("burstMultiplier") { fields.optional("burstMultiplier", burst)? } else { 1.0 };
            let requests = requests?;
            #[expect(clippy::cast_precision_loss, reason = "both are bounded far inside 2^53")]
            let inside = requests as f64 * burst <= MAX_REQUESTS as f64;
            if inside {
                Some(RateLimit::per_minute(requests, burst))
            } else {
                fields.refuse(format!("must not hold more than {MAX_REQUESTS} requests: requestsPerMinute x burstMultiplier"))
            }
        })
    })
}

fn burst(reader: &mut Reader<'_>) -> Option<f64> {
    match reader.number()? {
        burst if burst.is_finite() && burst >= 1.0 => Some(burst),
        _ => reader.refuse("must be a finite number of at least 1"),
    }
}
