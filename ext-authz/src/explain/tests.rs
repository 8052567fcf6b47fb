use super::*;
use crate::fixture::{self, Stand, get};

async fn told(request: CheckRequest) -> Vec<String> {
    let judge = Judge::new(Stand, Arc::new(SystemClock), Declared::default());
    tell(&fixture::own(), &judge, request).await.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn an_allow_is_told_step_by_step_with_its_response() {
    let told = told(get("/acme/billing-api/x?secret").by("acme client:app").request()).await;
    assert_eq!(
        told[..6],
        [
            r#"1 attributes  passes: "GET" "/acme/billing-api/x" at "gateway.example.com", 1 headers, body Absent; it names tenant "acme", API "billing-api""#,
            r#"2 tenant      passes: the credentials prove acme, subject "alice", client "app""#,
            "3 route       passes: billing-api in its contract",
            "4 guardrails  passes: subscription by-client",
            "5 reply       allows",
            "{",
        ]
    );
    let response: serde_json::Value = serde_json::from_str(&told[5..].join("\n")).unwrap();
    assert_eq!(response["dynamicMetadata"]["verdict"], "allow");
}

#[tokio::test]
async fn a_denial_is_told_at_the_step_that_decided() {
    let told = told(get("/acme/roles-api").by("acme").request()).await;
    assert_eq!(told[2], "3 route       passes: roles-api in its contract");
    assert_eq!(told[3], "4 guardrails  DENIES 403 role: the caller has none of the roles that are asked for");
    assert_eq!(told[4], "5 reply       not reached");
}

#[tokio::test]
async fn what_policies_in_shadow_would_deny_is_told() {
    let told = told(get("/acme/shadowed-api").by("acme").request()).await;
    assert_eq!(told[5], "  in shadow   the policy trial would deny: tool");
}

#[tokio::test]
async fn a_request_without_attributes_is_explained_too() {
    let told = told(CheckRequest::default()).await;
    assert_eq!(told[0], "1 attributes  DENIES 503 unavailable: the CheckRequest has no attributes");
    assert_eq!(told[1], "2 tenant      not reached");
}
