//! A decision, step by step: what each found out, and how it judged. The command and the admin door tell it alike.

use std::{fmt, sync::Arc};

use bulkhead_audit::text::Text;
use bulkhead_tenancy::name::{ApiName, SubscriptionName, TenantName, TenantUid};
use serde::Serialize;

use crate::{
    record::Seen,
    verdict::{Decision, Denial, Facts, Findings, Named, Reason, ShadowMark, Step, Verdict},
};

/// The most entries of a list that a memory of many holds.
const LISTED: usize = 16;

/// A decision that was made, as far as it may be remembered: names, no header, query or body. It holds no policy: a tenant that changes its own
/// all the time would have as many kept as it has decisions here.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its id.
    pub id: String,
    generation: Option<u64>,
    denial: Option<Denial>,
    step: Step,
    tenant: Option<(TenantName, TenantUid)>,
    api: Option<ApiName>,
    subscription: Option<SubscriptionName>,
    subject: Option<Arc<str>>,
    client: Option<Arc<str>>,
    named: Option<Named>,
    findings: Findings,
    shadow: Vec<ShadowMark>,
    /// What is told of limits; none where they are not charged here.
    limits: Option<String>,
    seen: Option<Seen>,
}

impl Told {
    /// What is told of a decision about a request.
    #[must_use]
    pub fn new(decision: Decision, seen: Option<Seen>) -> Self {
        let Decision { id, generation, verdict: Verdict { outcome, step, facts, shadow, charged, rule_input: _ } } = decision;
        let Facts { tenant, api, subscription, subject, client, named, findings } = facts;
        Self {
            id,
            generation,
            denial: outcome.err(),
            step,
            tenant: tenant.map(|tenant| (tenant.name.clone(), tenant.uid.clone())),
            api: api.map(|api| api.name.clone()),
            subscription: subscription.map(|subscription| subscription.name.clone()),
            subject,
            client,
            named,
            findings,
            shadow,
            limits: charged.map(|charged| charged.explained()),
            seen,
        }
    }

    /// With every text that a caller or a tenant chose, and every list, cut to what a memory of many may hold.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let cut = |text: &mut String, most: usize| {
            if text.len() > most {
                *text = Text::bounded(text, most).as_str().to_owned();
            }
        };
        let Self { subject, client, named, findings, shadow, .. } = &mut self;
        let names = named.iter_mut().flat_map(|named| [&mut named.tenant, &mut named.api]);
        for text in [&mut findings.action].into_iter().chain(names).flatten() {
            cut(text, 256);
        }
        for text in [subject, client].into_iter().flatten().filter(|text| text.len() > 256) {
            *text = Text::bounded(text, 256).as_str().into();
        }
        let topics = std::mem::take(&mut findings.topics).into_iter().take(LISTED);
        findings.topics = topics.map(|topic| Text::bounded(&topic, 128).as_str().to_owned()).collect();
        shadow.truncate(LISTED);
        shadow.iter_mut().for_each(|mark| mark.found.truncate(LISTED));
        let names = shadow.iter_mut().flat_map(|mark| mark.found.iter_mut().chain([&mut mark.policy])).chain(&mut findings.rule);
        names.for_each(|name| cut(name, 128));
        if let Some(seen) = &mut self.seen {
            cut(&mut seen.method, 32);
            cut(&mut seen.authority, 256);
            cut(&mut seen.path, 1024);
        }
        self
    }

    /// The tenant that it proved.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantUid> {
        self.tenant.as_ref().map(|(_, uid)| uid)
    }

    /// All of it, for the operator.
    #[must_use]
    pub fn explained(&self) -> Explanation {
        Explanation {
            decision_id: self.id.clone(),
            generation: self.generation,
            tenant: self.tenant.as_ref().map(|(name, _)| name.to_string()),
            verdict: self.denial.as_ref().map_or("allow", |denial| denial.reason.name()),
            status: self.denial.as_ref().map(|denial| denial.status),
            steps: Step::ALL.into_iter().chain(self.limits.as_ref().map(|_| Step::Limits)).map(|step| self.at(step)).collect(),
            shadow: self.shadow.iter().map(Shadowed::of).collect(),
        }
    }

    /// What its own tenant may be told: nothing that would tell of the load or the changes of others (S22).
    #[must_use]
    pub fn explained_to_its_tenant(&self) -> Explanation {
        let own = self.tenant.as_ref().map(|(name, _)| name.as_str());
        let mut told = self.clone();
        // A host names whose it is and which API: to whoever asks there with a token of their own, another tenant's are not told.
        told.named.take_if(|named| !named.agree || named.tenant.as_deref().is_some_and(|name| Some(name) != own));
        let mut explanation = told.explained();
        explanation.generation = None;
        if self.denial.as_ref().is_some_and(|denial| matches!(denial.reason, Reason::Unavailable | Reason::TooManyFailures)) {
            explanation.steps.iter_mut().for_each(|step| step.detail = None);
        }
        explanation
    }

    fn at(&self, step: Step) -> Judged {
        let judged = |verdict, learnt| Judged { step: step.name(), verdict, learnt, reason: None, status: None, detail: None };
        match (step.cmp(&self.step), &self.denial) {
            (std::cmp::Ordering::Greater, _) => judged("not reached", None),
            (std::cmp::Ordering::Less, _) => judged("passes", self.learnt(step)),
            (std::cmp::Ordering::Equal, None) => judged("allows", self.learnt(step)),
            (std::cmp::Ordering::Equal, Some(denial)) => Judged {
                reason: Some(denial.reason.name()),
                status: Some(denial.status),
                detail: Some(denial.detail.to_string()),
                ..judged("denies", self.learnt(step))
            },
        }
    }

    /// What a step found out; nothing if it found nothing.
    fn learnt(&self, step: Step) -> Option<String> {
        let Self { tenant, api, subscription, subject, client, findings, .. } = self;
        match step {
            Step::Attributes => self.asked(),
            Step::Tenant => tenant.as_ref().map(|(name, _)| {
                let part = |what, text: &Option<Arc<str>>| text.as_deref().map(|text| format!(", {what} {text:?}")).unwrap_or_default();
                format!("the credentials prove {name}{}{}", part("subject", subject), part("client", client))
            }),
            Step::Route => api.as_ref().map(|api| format!("{api} in its contract")),
            Step::Guardrails => {
                let list = |what, names: Vec<&str>| (!names.is_empty()).then(|| format!("{what} {}", names.join(", ")));
                let found = [
                    subscription.as_ref().map(|subscription| format!("subscription {subscription}")),
                    findings.action.as_ref().map(|action| format!("action {action:?}")),
                    list("topics", findings.topics.iter().map(String::as_str).collect()),
                    list("personal data", findings.pii.iter().map(|kind| kind.name()).collect()),
                    findings.rule.as_ref().map(|rule| format!("rule of {rule}")),
                ];
                let found: Vec<String> = found.into_iter().flatten().collect();
                (!found.is_empty()).then(|| found.join("; "))
            }
            Step::Reply => None,
            Step::Limits => self.limits.clone(),
        }
    }

    /// The request, and what it names.
    fn asked(&self) -> Option<String> {
        let Seen { method, authority, path, headers, body, .. } = self.seen.as_ref()?;
        let named = self.named.as_ref().map(|named| {
            let name = |name: &Option<String>| name.as_ref().map_or_else(|| "none".to_owned(), |name| format!("{name:?}"));
            let agree = if named.agree { "" } else { ", which do not agree" };
            format!("; it names tenant {}, API {}{agree}", name(&named.tenant), name(&named.api))
        });
        Some(format!("{method:?} {path:?} at {authority:?}, {headers} headers, body {body}{}", named.unwrap_or_default()))
    }
}

/// What is told of a decision.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    decision_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    steps: Vec<Judged>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow: Vec<Shadowed>,
}

#[derive(Debug, Clone, Serialize)]
struct Judged {
    step: &'static str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    learnt: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Shadowed {
    policy: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    found: Vec<String>,
}

impl Shadowed {
    fn of(mark: &ShadowMark) -> Self {
        Self { policy: mark.policy.clone(), verdict: mark.name(), found: mark.found.clone() }
    }
}

impl fmt::Display for Explanation {
    /// Five lines, a step each, six where limits are charged here, and what policies in shadow would have done.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in (1..).zip(&self.steps) {
            let Judged { step, verdict, reason, status, detail, learnt } = step;
            write!(f, "{number} {step:<10}  ")?;
            let denied = match (reason, status) {
                (Some(reason), Some(status)) => {
                    write!(f, "DENIES {status} {reason}")?;
                    true
                }
                _ => {
                    f.write_str(verdict)?;
                    false
                }
            };
            if let Some(detail) = detail {
                write!(f, ": {detail}")?;
            }
            if let Some(learnt) = learnt {
                write!(f, "{}{learnt}", if denied || *verdict == "allows" { "; " } else { ": " })?;
            }
            writeln!(f)?;
        }
        for mark in &self.shadow {
            let denies = if matches!(mark.verdict, "redact" | "detect") { "" } else { "deny: " };
            write!(f, "  in shadow   the policy {} would {denies}{}", mark.policy, mark.verdict)?;
            writeln!(f, "{}{}", if mark.found.is_empty() { "" } else { ": found " }, mark.found.join(", "))?;
        }
        Ok(())
    }
}
