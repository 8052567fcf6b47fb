//! The drop-in's decision on one call, in the original's order: is it a call, which limits does it meet, count, answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bulkhead_proto::{
    contract::DOMAIN,
    pb::envoy::{
        extensions::common::ratelimit::v3::RateLimitDescriptor,
        service::ratelimit::v3::{RateLimitRequest, RateLimitResponse},
    },
};
use tonic::Status;

use super::{
    answer::{self, Met, Standing},
    counting::{Counted, Counting, Hit, Uncounted},
    live::{Live, NOTHING_LOADED},
    metadata,
    rules::{Configuration, Descriptor, Entry, Limit, Limits, Override, Rate, UnknownUnit},
    settings::Answers,
    stats::{
        Stats,
        attribution::{Division, Thresholds},
    },
};

/// The most descriptors of one call.
pub const MAX_DESCRIPTORS: usize = 1_000;

/// Decides for every domain but Bulkhead's own.
pub struct Dropin {
    live: Arc<Live>,
    counting: Counting,
    answers: Answers,
    near_ratio: f32,
    stats: Arc<Stats>,
    /// The configuration whose keys have their counters.
    kept: Mutex<Option<Arc<Configuration>>>,
}

/// Why a call was not decided.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What the original calls a service error, in its words.
    #[error("{0}")]
    Service(&'static str),
    /// What no answer fits, and what makes the original crash.
    #[error("{0}")]
    Invalid(String),
    /// The store did not decide.
    #[error(transparent)]
    Store(Uncounted),
}

impl From<Refusal> for Status {
    /// The original answers its errors as UNKNOWN, which is what Go's gRPC makes of an error without a code.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(why) => Self::invalid_argument(why),
            other => Self::unknown(other.to_string()),
        }
    }
}

impl From<UnknownUnit> for Refusal {
    fn from(unit: UnknownUnit) -> Self {
        Self::Invalid(unit.to_string())
    }
}

impl Dropin {
    /// Decides by the rules of the moment.
    #[must_use]
    pub fn new(live: Arc<Live>, counting: Counting, answers: Answers, near_ratio: f64, stats: Arc<Stats>) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the original's ratio is a 32-bit float")]
        let near_ratio = near_ratio as f32;
        Self { live, counting, answers, near_ratio, stats, kept: Mutex::default() }
    }

    /// Its statistics.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// The rules that decide.
    #[must_use]
    pub fn rules(&self) -> Option<Arc<Configuration>> {
        self.live.load()
    }

    /// The limit that a descriptor without one of its own meets, as the rules of the moment have it.
    #[must_use]
    pub fn limit(&self, domain: &str, entries: &[Entry<'_>]) -> Option<Limit> {
        if domain == DOMAIN {
            return None;
        }
        let descriptor = Descriptor { entries: entries.to_vec(), limit: None };
        match self.live.load()?.limits(domain, &[descriptor]) {
            Ok(Limits::Known(limits)) => limits.into_iter().next().flatten(),
            Ok(Limits::UnknownDomain) | Err(_) => None,
        }
    }

    pub(crate) fn counting(&self) -> &Counting {
        &self.counting
    }

    /// Decides one call.
    ///
    /// # Errors
    /// See [`Refusal`]; it is counted as the original counts it.
    pub async fn decide(&self, request: &RateLimitRequest, budget: Option<Duration>) -> Result<RateLimitResponse, Refusal> {
        let decided = self.judge(request, budget).await;
        match &decided {
            Ok(_) => {}
            Err(Refusal::Store(Uncounted::Store(_) | Uncounted::Faulty)) => self.stats.service.redis_error.add(1),
            Err(_) => self.stats.service.service_error.add(1),
        }
        decided
    }

    async fn judge(&self, request: &RateLimitRequest, budget: Option<Duration>) -> Result<RateLimitResponse, Refusal> {
        if request.domain.is_empty() {
            return Err(Refusal::Service("rate limit domain must not be empty"));
        }
        if request.domain == DOMAIN {
            // Its limits come from Bulkhead's own configuration alone, never from a rule or a descriptor's limit.
            return Err(Refusal::Invalid(format!("the domain `{DOMAIN}` is not the drop-in's")));
        }
        if request.descriptors.is_empty() {
            return Err(Refusal::Service("rate limit descriptor list must not be empty"));
        }
        if request.descriptors.len() > MAX_DESCRIPTORS {
            return Err(Refusal::Invalid(format!("a call may have at most {MAX_DESCRIPTORS} descriptors")));
        }
        if request.descriptors.iter().any(|descriptor| descriptor.is_negative_hits) {
            return Err(Refusal::Invalid("negative hits: nothing is given back".to_owned()));
        }
        let rules = self.live.load().ok_or(Refusal::Service(NOTHING_LOADED))?;
        self.keep(&rules);
        let descriptors: Vec<Descriptor<'_>> = request.descriptors.iter().map(read).collect();
        let limits = match rules.limits(&request.domain, &descriptors)? {
            Limits::Known(limits) => limits,
            Limits::UnknownDomain => {
                self.stats.domain_not_found(&request.domain, descriptors.len() as u64);
                vec![None; descriptors.len()]
            }
        };
        let (met, passed) = self.count(request, &limits, budget).await?;
        let mut over = answer::is_over(&met);
        if over && self.answers.shadow_mode {
            over = false;
            self.stats.service.global_shadow_mode.add(1);
        }
        let mut answer = answer::answer(&met, over, self.answers.headers.as_ref());
        if self.answers.dynamic_metadata {
            let passed = passed.into_iter().filter_map(|place| limits.get(place)?.as_ref()?.metadata.as_deref());
            answer.dynamic_metadata = Some(metadata::of(request, passed));
        }
        Ok(answer)
    }

    /// What became of each descriptor, and the places of those that were counted and are not over.
    async fn count(
        &self,
        request: &RateLimitRequest,
        limits: &[Option<Limit>],
        budget: Option<Duration>,
    ) -> Result<(Vec<Met>, Vec<usize>), Refusal> {
        let mut met: Vec<Met> = Vec::with_capacity(limits.len());
        let (mut hits, mut places) = (Vec::new(), Vec::new());
        for (place, (limit, descriptor)) in limits.iter().zip(&request.descriptors).enumerate() {
            met.push(match limit {
                None => Met::Nothing,
                Some(Limit { rate: Rate::Unlimited, .. }) => Met::Unlimited,
                Some(limit) => {
                    hits.extend(self.hit(limit, descriptor, request.hits_addend));
                    places.push(place);
                    Met::Nothing
                }
            });
        }
        for hit in &hits {
            self.stats.limit(&request.domain, &hit.limit.stat_key).total_hits.add(hit.hits);
        }
        let counted = match hits.as_slice() {
            [] => Vec::new(),
            hits => self.counting.count(hits, budget).await.map_err(|why| match why {
                Uncounted::TooMany => Refusal::Invalid(why.to_string()),
                why => Refusal::Store(why),
            })?,
        };
        let mut passed = Vec::new();
        for ((place, hit), counted) in places.into_iter().zip(&hits).zip(counted) {
            self.attribute(&request.domain, hit, counted);
            let standing = standing(hit, counted);
            if !standing.over {
                passed.push(place);
            }
            if let Some(slot) = met.get_mut(place) {
                *slot = Met::Limit(standing);
            }
        }
        Ok((met, passed))
    }

    fn hit<'l>(&self, limit: &'l Limit, descriptor: &RateLimitDescriptor, of_request: u32) -> Option<Hit<'l>> {
        let Rate::Each { requests_per_unit, unit } = limit.rate else { return None };
        // A descriptor's own 0 looks only; the request's 0 is 1.
        let hits = descriptor.hits_addend.as_ref().map_or(u64::from(of_request.max(1)), |own| own.value);
        let decides = !limit.shadow && !limit.quota && !self.answers.shadow_mode;
        Some(Hit { limit, requests: requests_per_unit, unit, hits, decides })
    }

    /// Counts one limit's hits as the original divides them.
    fn attribute(&self, domain: &str, hit: &Hit<'_>, counted: Counted) {
        let stats = self.stats.limit(domain, &hit.limit.stat_key);
        let division = if counted.cached {
            stats.over_limit_with_local_cache.add(hit.hits);
            Division { over: hit.hits, ..Division::default() }
        } else if counted.over {
            let division = Thresholds::new(hit.requests, self.near_ratio).divide(counted.before, hit.hits);
            // Denied only together with the same limit's other hits in this call.
            if division.within > 0 { Division { over: hit.hits, ..Division::default() } } else { division }
        } else if counted.charged {
            Thresholds::new(hit.requests, self.near_ratio).divide(counted.before, hit.hits)
        } else {
            Division::default()
        };
        division.count(&stats);
        if hit.limit.shadow {
            stats.shadow_mode.add(division.over);
        }
    }

    /// The configuration's own keys have their counters before requests can fill the bound.
    fn keep(&self, rules: &Arc<Configuration>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, rules)) {
            return;
        }
        for (domain, key) in rules.full_keys() {
            self.stats.keep(&domain, &key);
        }
        *kept = Some(Arc::clone(rules));
    }
}

fn standing(hit: &Hit<'_>, counted: Counted) -> Standing {
    Standing {
        name: hit.limit.name.as_ref().to_owned(),
        requests: hit.requests,
        unit: hit.unit,
        over: counted.over && !hit.limit.shadow,
        quota: hit.limit.quota,
        remaining: counted.remaining,
        // Envoy cuts a fraction off: half a second would be told as none.
        reset: counted.left_us.div_ceil(1_000_000).max(1),
    }
}

fn read(descriptor: &RateLimitDescriptor) -> Descriptor<'_> {
    Descriptor {
        entries: descriptor.entries.iter().map(|entry| Entry { key: &entry.key, value: &entry.value }).collect(),
        limit: descriptor.limit.as_ref().map(|own| Override { requests_per_unit: own.requests_per_unit, unit: own.unit }),
    }
}
