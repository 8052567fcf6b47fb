//! The story of the articles: what one tenant does, and what the other does not notice.

use std::{
    fmt::Write as _,
    future::Future,
    time::{Duration, Instant},
};

use bulkhead_tests::{issuer::token, parts, world::World};
use serde_json::Value;

use crate::shell::{Ask, Output, Shell};

/// More than acme's capacity: 1,000 a minute, twice that at once.
const BURST: u32 = 2400;
/// What globex asks meanwhile.
const MEANWHILE: u32 = 20;
/// A change of the configuration is live within this.
const LIVE: Duration = Duration::from_secs(1);
/// A tenant that has used up its limit has some of it again within this.
const REFILLED: Duration = Duration::from_secs(10);

const ACME: Ask = Ask { token: "TOKEN_ACME", headers: &[], path: "/acme/billing-api/invoices", posts: None };
const ORDERS: Ask = Ask { token: "TOKEN_ACME", headers: &[], path: "/acme/orders-api/open", posts: None };
const GLOBEX: Ask = Ask { token: "TOKEN_GLOBEX", headers: &[], path: "/globex/inventory-api/products", posts: None };
const SPOOFED: &[(&str, &str)] = &[("X-Tenant-ID", "globex"), ("X-Bulkhead-Tenant", "globex")];

/// Plays every step; how many came out differently.
pub(crate) async fn play(world: &World) -> usize {
    let token = |tenant: &bulkhead_tests::world::Tenant| tenant.issuer.token().claim("exp", token::now() + 8 * 3600).sign();
    let variables = vec![
        ("TOKEN_ACME", token(&world.acme)),
        ("TOKEN_GLOBEX", token(&world.globex)),
        ("CONFIG", world.config.path().display().to_string()),
        ("AUDIT", world.audit.as_ref().map(|folder| folder.path().display().to_string()).unwrap_or_default()),
        ("EXT_AUTHZ", parts::service("bulkhead-ext-authz").display().to_string()),
    ];
    let shell = Shell::new(world.envoy.address(), variables).await;
    println!("\nThe gateway is http://{}. The lines below use the variables of this file:\n", world.envoy.address());
    println!("    . {}", shell.environment().as_ref().display());
    if !shell.has_curl() {
        println!("\nThere is no curl here: requests are made by the demo's own client, and the lines are what curl would be told.");
    }
    let mut story = Story { shell, different: 0, number: 0 };

    story.ask("acme's token reaches acme's billing API", &ACME, "200 from acme-billing at /v1/invoices, as acme").await;
    let foreign = Ask { path: "/globex/inventory-api/products", ..ACME };
    story.ask("the same token at globex's inventory API: wrong realm", &foreign, "401 wrong_tenant").await;
    let spoofed = Ask { headers: SPOOFED, ..ACME };
    story.ask("a spoofed tenant header changes nothing", &spoofed, "200 from acme-billing at /v1/invoices, as acme").await;
    let spoofed = Ask { headers: SPOOFED, ..foreign };
    story.ask("nor does it open globex's API", &spoofed, "401 wrong_tenant").await;

    let personal = Ask { posts: Some(r#"{"contact":"jane@example.com","amount":12}"#), ..ACME };
    let redacted = r#"200 from acme-billing at /v1/invoices, as acme, with {"contact":"[redacted:email]","amount":12}"#;
    story.ask("personal data is taken out before acme's upstream sees it, as acme's policy says", &personal, redacted).await;
    let topic = Ask { posts: Some(r#"{"note":"what does \u0049nitech charge?"}"#), ..ACME };
    story.ask("a blocked topic is refused, however it is spelled", &topic, "403 topic").await;
    story.burst().await;

    story.title("what was decided at acme's billing API is on record, in acme's own stream, and the record is whole");
    let verify = r#""$EXT_AUTHZ" verify "$AUDIT" > /dev/null && ls "$AUDIT/default" | tr '\n' ' '"#;
    println!("   $ {verify}");
    let streams = story.shell.run(verify).await;
    story.verdict("tenant-acme", streams.trim());

    story.title("a contract edited on disk is live within a second");
    let edit = r#"sed -i.bak 's#orders.acme.internal/v2#orders.acme.internal/v3#' "$CONFIG/namespaces/tenant-acme/contract.yaml""#;
    println!("   $ {edit}");
    story.shell.run(edit).await;
    story.within(LIVE, &ORDERS, "200 from acme-orders at /v3/open, as acme").await;

    story.title("a contract of acme that is broken leaves globex untouched, and acme with its last good one");
    let damage = r#"echo 'broken: [' >> "$CONFIG/namespaces/tenant-acme/contract.yaml""#;
    println!("   $ {damage}");
    story.shell.run(damage).await;
    world.ext_authz.until_tenant("acme", "last_good").await;
    println!("   (ext-authz has read it: its /snapshot says that acme keeps its last good policy)");
    story.check(&GLOBEX, "200 from globex-inventory at /v1/products, as globex").await;
    story.check(&ORDERS, "200 from acme-orders at /v3/open, as acme").await;
    story.different
}

struct Story {
    shell: Shell,
    different: usize,
    number: usize,
}

impl Story {
    fn title(&mut self, title: &str) {
        self.number += 1;
        println!("\n{}. {title}", self.number);
    }

    async fn ask(&mut self, title: &str, ask: &Ask, expected: &str) {
        self.title(title);
        self.check(ask, expected).await;
    }

    async fn check(&mut self, ask: &Ask, expected: &str) {
        println!("   $ {}", ask.line());
        let start = Instant::now();
        let mut actual = summary(&self.shell.request(ask).await);
        // After its burst acme has what refills in the meantime, about 16 requests a second: it asks again, as its Retry-After says.
        while actual.starts_with("429") && actual != expected && start.elapsed() < REFILLED {
            println!("   429, as its burst has used up its limit: asked again in a second");
            tokio::time::sleep(Duration::from_secs(1)).await;
            actual = summary(&self.shell.request(ask).await);
        }
        self.verdict(expected, &actual);
    }

    /// Asks until the answer is the expected one, and tells after how long it was.
    async fn within(&mut self, limit: Duration, ask: &Ask, expected: &str) {
        println!("   $ {}", ask.line());
        let start = Instant::now();
        let mut actual = summary(&self.shell.request(ask).await);
        while actual != expected && start.elapsed() < limit {
            tokio::time::sleep(Duration::from_millis(20)).await;
            actual = summary(&self.shell.request(ask).await);
        }
        self.verdict(expected, &actual);
        println!("   live   {} ms after the edit", start.elapsed().as_millis());
    }

    fn verdict(&mut self, expected: &str, actual: &str) {
        println!("   expect {expected}");
        println!("   actual {actual}{}", if expected == actual { "" } else { "   <== DIFFERENT" });
        self.different += usize::from(expected != actual);
    }

    /// acme's burst, while globex goes on.
    async fn burst(&mut self) {
        self.title("acme's burst meets 429, while globex stays 200");
        println!("   $ {} | sort | uniq -c", ACME.burst(BURST));
        println!("   $ {} | sort | uniq -c   # at the same time", GLOBEX.burst(MEANWHILE));
        let (acme, globex) = if self.shell.has_curl() {
            both(self.shell.run(&ACME.burst(BURST)), self.shell.run(&GLOBEX.burst(MEANWHILE))).await
        } else {
            both(ACME.burst_without_curl(&self.shell, BURST), GLOBEX.burst_without_curl(&self.shell, MEANWHILE)).await
        };
        let count = |statuses: &str, wanted: &str| statuses.lines().filter(|status| *status == wanted).count();
        let (served, refused) = (count(&acme, "200"), count(&acme, "429"));
        let all = served + refused == BURST as usize;
        println!("   acme:   {served} x 200, {refused} x 429; globex: {} x 200", count(&globex, "200"));
        let told = |some: bool| if some { "some" } else { "none" };
        let actual = format!(
            "acme: {} 200, {} 429, {} other; globex: {} x 200",
            told(served > 0),
            told(refused > 0),
            told(!all),
            count(&globex, "200")
        );
        self.verdict(&format!("acme: some 200, some 429, none other; globex: {MEANWHILE} x 200"), &actual);
    }
}

async fn both(first: impl Future<Output = String>, second: impl Future<Output = String>) -> (String, String) {
    tokio::join!(first, second)
}

/// An answer in a few words: who answered and what they saw, or why nobody was asked.
fn summary(output: &Output) -> String {
    let body: Value = serde_json::from_str(&output.body).unwrap_or_default();
    let header = |name: &str| {
        let headers = body["headers"].as_array().into_iter().flatten();
        let values: Vec<&str> = headers.filter(|header| header[0] == name).filter_map(|header| header[1].as_str()).collect();
        values.join(" and ")
    };
    if let (Some(upstream), Some(path)) = (body["upstream"].as_str(), body["path"].as_str()) {
        let mut text = format!("{} from {upstream} at {path}, as {}", output.status, header("x-bulkhead-tenant"));
        if !header("x-tenant-id").is_empty() {
            text.push_str(", with the client's own x-tenant-id");
        }
        if let Some(sent) = body["body"].as_str().filter(|sent| !sent.is_empty()) {
            let _ = write!(text, ", with {sent}");
        }
        return text;
    }
    let reason = body["type"].as_str().and_then(|kind| kind.strip_prefix("urn:bulkhead:")).unwrap_or("without a reason");
    format!("{} {reason}", output.status)
}
