//! What `explain` says of limits: exactly what the next request is answered, and nothing is charged for it.

use bulkhead_proto::json::check::write_response;

use super::*;
use crate::explain;

/// A policy in shadow that would let two requests pass, and quotas of each kind.
const TRIED: &str = "
apiVersion: gostoa.dev/v1alpha1
kind: GuardrailPolicy
metadata: { name: trial, namespace: tenant-open }
spec: { shadow: true, rateLimit: { requestsPerMinute: 2 } }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: sliding, namespace: tenant-open }
spec: { clientId: sliding, quotas: [ { requests: 4, per: day, window: sliding } ] }
---
apiVersion: gostoa.dev/v1alpha1
kind: Subscription
metadata: { name: calendar, namespace: tenant-open }
spec: { clientId: calendar, quotas: [ { requests: 4, per: month } ] }
";

fn stage(hangs: bool) -> Stage {
    Stage::with(live_with(&[("namespaces/tenant-open/tried.yaml", TRIED)]), hangs, Notes::default())
}

impl Stage {
    /// What is explained of a request: the response that it would get, and what is told of its limits.
    async fn explained(&self, asked: &Asked) -> (String, String) {
        let judge = Judge::new(Stand, Arc::new(SystemClock), Declared { limits: true, ..Declared::default() });
        let (told, response, _) = explain::decided(&self.live.load().unwrap(), &judge, Some(&self.charging), asked.request()).await;
        (response.to_string().replace(&told.id, "ID"), told.explained().to_string())
    }

    /// What it gets.
    async fn got(&self, asked: &Asked) -> String {
        let response = self.check(asked).await;
        let id = response.dynamic_metadata.as_ref().and_then(|fields| fields.fields.get(metadata::DECISION_ID)?.kind.clone());
        let Some(Kind::StringValue(id)) = id else { panic!("an id") };
        write_response(&response).to_string().replace(&id, "ID")
    }
}

#[tokio::test]
async fn an_explanation_is_what_the_next_request_gets_whichever_limit_stands() {
    for (asked, rounds, denied) in [
        (get("/open/plain-api").by("open"), 13, r#"\"scope\":\"tenant\""#),
        (get("/open/plain-api").by("open client:app"), 5, r#"\"scope\":\"subscription\""#),
        (get("/open/plain-api").by("open client:sliding"), 6, "renews_at"),
        (get("/open/plain-api").by("open client:calendar"), 6, "renews_at"),
        (get("/open/limited-api").by("open"), 7, r#"\"scope\":\"api\""#),
        (get("/closed/plain-api").by("closed"), 12, "ratelimit-reset"),
    ] {
        let stage = stage(false);
        let mut last = String::new();
        for round in 0..rounds {
            let (first, again) = (stage.explained(&asked).await, stage.explained(&asked).await);
            last = stage.got(&asked).await;
            assert_eq!((&first.0, &again.0), (&last, &last), "{round}: {}", first.1);
        }
        assert!(last.contains("429") && last.contains(denied), "{last}");
    }
}

#[tokio::test]
async fn an_explanation_marks_what_a_policy_in_shadow_would_deny_next() {
    let (stage, asked) = (stage(false), get("/open/plain-api").by("open"));
    for marked in [false, false, true, true] {
        let (_, told) = stage.explained(&asked).await;
        assert_eq!(told.contains("the policy trial would deny: over_limit"), marked, "{told}");
        stage.check(&asked).await;
    }
}

#[test]
fn what_a_replica_holds_in_advance_is_told_apart_from_what_is_left() {
    let told = |held| Charged { cost: 2, ruling: Ruling::Open, looked: Some(Looked { held }) }.explained();
    assert!(told(Some(12)).contains("; 12 more held in advance by this process"), "{}", told(Some(12)));
    assert!(!told(None).contains("in advance"), "nothing of it is leased");
}

#[tokio::test]
async fn an_explanation_while_the_store_hangs_is_what_the_failure_mode_answers() {
    for (asked, rounds) in
        [(get("/open/plain-api").by("open"), 2), (get("/closed/plain-api").by("closed"), 2), (get("/local/plain-api").by("local"), 12)]
    {
        let stage = stage(true);
        for round in 0..rounds {
            let (explained, told) = stage.explained(&asked).await;
            assert_eq!(explained, stage.got(&asked).await, "{round}: {told}");
        }
    }
}
