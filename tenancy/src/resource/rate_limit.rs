//! `rateLimit: { requestsPerMinute, burstMultiplier }`, wherever it stands.
