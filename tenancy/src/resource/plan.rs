//! `kind: Plan`: what a tenant on it may use.

use super::{Metadata, rate_limit};
use crate::{
    decode::{Fields, Reader},
    limit::{MAX_REQUESTS, Quota, QuotaPeriod, Rate, RateLimit},
    name::PlanName,
    place::At,
    tenant::{Guarantee, Isolation},
};

/// A plan as written.
#[derive(Debug, Clone)]
pub struct PlanManifest {
    /// `metadata`
    pub metadata: Metadata<PlanName>,
    /// `spec.rateLimit`
    pub rate_limit: At<RateLimit>,
    /// `spec.guaranteed`
    pub guaranteed: Option<At<Guarantee>>,
    /// `spec.quotas`
    pub quotas: Vec<At<Quota>>,
    /// `spec.isolation`; default bridge.
    pub isolation: Isolation,
    /// `spec.requireTenantClaim`; default false.
    pub require_tenant_claim: bool,
}

/// The largest calendar quota: whole in the store's doubles, and more than a platform at its largest rate serves in a month.
const MAX_QUOTA: u64 = 1 << 50;
/// The longest burst of a guarantee, in seconds.
const MAX_BURST_SECONDS: u64 = 3600;

impl PlanManifest {
    pub(super) fn read(top: &mut Fields<'_>) -> Option<Self> {
        let metadata = Metadata::read(top);
        top.required("spec", |spec| {
            spec.object(|spec| {
                let rate_limit = spec.required("rateLimit", rate_limit::read);
                let guaranteed = spec.optional("guaranteed", |reader| reader.at(read_guarantee));
                let quotas = spec.optional("quotas", |reader| reader.list(|quota| quota.at(read_quota))).unwrap_or_default();
                let isolation = spec.optional("isolation", |reader| {
                    reader.one_of(&[("pool", Isolation::Pool), ("bridge", Isolation::Bridge), ("silo", Isolation::Silo)])
                });
                let require_tenant_claim = spec.optional("requireTenantClaim", |value| value.flag()).unwrap_or(false);
                Some(Self {
                    metadata: metadata?,
                    rate_limit: rate_limit?,
                    guaranteed,
                    quotas,
                    isolation: isolation.unwrap_or(Isolation::Bridge),
                    require_tenant_claim,
                })
            })
        })
    }
}

/// Never zero: every active tenant has a guarantee (S25); a plan that means none leaves the field out and gets the equal share.
fn read_guarantee(reader: &mut Reader<'_>) -> Option<Guarantee> {
    reader.object(|fields| {
        let requests = fields.required("requestsPerMinute", |reader| reader.whole(1, MAX_REQUESTS));
        let seconds = fields.optional("burstSeconds", |reader| reader.whole(1, MAX_BURST_SECONDS)).unwrap_or(1);
        let (rate, burst_seconds) = (Rate::per_minute(requests?), seconds);
        if rate.requests.saturating_mul(burst_seconds) / 60 > MAX_REQUESTS {
            return fields.refuse(format!("must not hold more than {MAX_REQUESTS} requests: requestsPerMinute / 60 x burstSeconds"));
        }
        Some(Guarantee { rate, burst_seconds })
    })
}

fn read_quota(reader: &mut Reader<'_>) -> Option<Quota> {
    reader.object(|fields| {
        let requests = fields.required("requests", |reader| reader.whole(0, MAX_QUOTA));
        let per = fields.required("per", |reader| {
            reader.one_of(&[
                ("hour", QuotaPeriod::Hour),
                ("day", QuotaPeriod::Day),
                ("week", QuotaPeriod::Week),
                ("month", QuotaPeriod::Month),
            ])
        });
        let anchor_day = fields.optional("anchorDay", |reader| match per {
            Some(QuotaPeriod::Month) | None => reader.whole(1, 31).and_then(|day| u8::try_from(day).ok()),
            _ => reader.refuse("has a meaning only `per: month`"),
        });
        let time_zone = fields.optional("timeZone", |reader| reader.parse_with(parse_time_zone));
        Some(Quota {
            requests: requests?,
            per: per?,
            anchor_day: anchor_day.unwrap_or(1),
            time_zone: time_zone.unwrap_or_else(|| "UTC".to_owned()),
        })
    })
}

fn parse_time_zone(text: &str) -> Result<String, &'static str> {
    match jiff::tz::db().get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be a time zone of the IANA database: `Europe/Paris`"),
    }
}
