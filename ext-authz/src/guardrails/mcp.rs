//! MCP over streamable HTTP: what a caller does at an API with `protocol: mcp`, message by message.
//!
//! A body is judged as the laxest server behind us might read it, so whatever two parsers could read differently is refused
//! (`message.rs`); what passes is a list, and all else is denied (`method.rs`). What `docs/mcp.md` says of statuses is decided here.

use std::sync::Arc;

use bulkhead_content::Budget;
use bulkhead_tenancy::tool::{InputSchema, schema::Misfit};
use serde_json::Value;

use self::{
    coding::Coding,
    message::{Message, Posted, Unreadable},
    method::Kind,
};
use super::{Asked, Found, Passed, tools};
use crate::{
    attributes::Body,
    json,
    offload::{Hold, Offload},
    verdict::{Denial, Process, Reason},
};

mod coding;
pub mod foreign;
mod headers;
pub mod list;
mod message;
mod method;
pub mod rewritten;
mod said;
mod shown;
#[cfg(test)]
mod tests;

pub use said::Said;
pub use shown::Shown;

/// Bodies up to this are read on the I/O thread: some tens of microseconds.
pub(crate) const READ_AT_ONCE: usize = 32 * 1024;
/// Arguments up to this, of schemas that are light, are judged there too.
const JUDGED_AT_ONCE: usize = 4 * 1024;
/// Messages of a batch whose methods are recorded.
const RECORDED: usize = 3;

/// Judges a request at an API that speaks MCP, and gives each message that rules are to be asked about, at least one. Whether its body can be
/// read at all (S14) has been seen to.
///
/// # Errors
/// `method`, `unreadable`, `tool`, `too_large` or `unavailable`; of a batch the first element that denies.
pub async fn judge(asked: &Asked<'_>, offload: &Offload, found: &mut Found) -> Result<(Passed, Vec<Said>), Denial> {
    match asked.request.method {
        "POST" => posted(asked, offload, found).await,
        "DELETE" => {
            found.findings.action = Some("session/delete".to_owned());
            headers::judge(asked.request)?;
            bodiless(asked.request.body).map(|()| (Passed::default(), vec![Said::default()]))
        }
        "GET" if has_stream(asked) => {
            found.findings.action = Some("session/stream".to_owned());
            headers::judge(asked.request)?;
            bodiless(asked.request.body)?;
            tools::judge_itself(asked, &mut found.shadow)?;
            // What is resumed may be the rest of any answer, a list of tools too.
            let shown = Shown::new(false, tools::usable(asked).map(|tool| tool.wire.to_string()));
            Ok((Passed { process: Process::Response, shown: Some(shown), ..Passed::default() }, vec![Said::default()]))
        }
        _ => {
            let offered = ["POST", "GET", "DELETE"].into_iter().filter(|method| *method != "GET" || has_stream(asked));
            Err(Denial {
                allow: offered.filter(|method| asked.api.methods.allow(method)).map(str::to_owned).collect(),
                ..Denial::new(
                    Reason::Method,
                    "an MCP API takes POST and DELETE, and GET where ext_proc is declared and the API itself is allowed",
                )
            })
        }
    }
}

/// Whether the server's own stream is offered. What comes in it must be filtered, and may be anything that the API answers. A client takes the 405 for a
/// server that offers none, and goes on without.
fn has_stream(asked: &Asked<'_>) -> bool {
    asked.declared.process && tools::judge_itself(asked, &mut Vec::new()).is_ok()
}

/// A server that takes a body where none belongs would take it unjudged.
fn bodiless(body: Body<'_>) -> Result<(), Denial> {
    match body {
        Body::Absent => Ok(()),
        _ => Err(Denial::new(Reason::Unreadable, "a DELETE and a GET have no body")),
    }
}

async fn posted(asked: &Asked<'_>, offload: &Offload, found: &mut Found) -> Result<(Passed, Vec<Said>), Denial> {
    headers::judge(asked.request)?;
    let coding = headers::judge_representation(asked.request)?;
    let bytes = match asked.request.body {
        Body::Whole(bytes) => bytes,
        // Only ext_proc sees what was sent (`super::process::instead`): without it, one message is judged and another may be sent.
        // A coding that was shown so is hardly ever undone, and ext_proc could not tell from it what was judged.
        Body::Doubtful(bytes) if asked.declared.process && coding.is_none() => bytes,
        Body::Doubtful(_) => {
            let detail = "Envoy shows bodies as text (pack_as_bytes: false), and a `!` in this one may be a byte of another message";
            return Err(Denial::new(Reason::Unreadable, detail));
        }
        _ => return Err(Denial::new(Reason::Unreadable, "a POST without a message")),
    };
    let (posted, length) = read(bytes, coding, asked, offload, &mut found.held).await?;
    found.findings.action = Some(action(asked, &posted));
    headers::agree(asked.request, &posted)?;
    let judged = Judged::of(posted, asked, found)?;
    judged.arguments(asked, offload, length).await?;
    Ok((judged.passed(asked)?, judged.said))
}

/// The messages, and how long they were as JSON. What goes on to the upstream are the bytes as they came.
async fn read(
    bytes: &[u8],
    coding: Option<Coding>,
    asked: &Asked<'_>,
    offload: &Offload,
    held: &mut Vec<Hold>,
) -> Result<(Posted, usize), Denial> {
    let (tenant, until) = (&asked.caller.tenant.uid, asked.until);
    let small = coding.is_none() && bytes.len() <= READ_AT_ONCE;
    if small && let Ok(posted) = offload.at_once(tenant, || message::read(bytes)) {
        return Ok((posted?, bytes.len()));
    }
    let hold = offload.hold(tenant, bytes.len())?;
    let bytes = asked.request.message.keep(bytes);
    let read = move || {
        let budget = Budget::default().until(until.into_std()).giving_way().within(&hold);
        let plain = coding.map_or(Ok(None), |coding| coding.decoded(&bytes, &budget).map(Some))?;
        let plain = plain.as_deref().unwrap_or(&bytes);
        budget.hold(json::weight(plain))?;
        let (posted, length) = (message::read(plain)?, plain.len());
        Ok::<_, Denial>((posted, length, hold))
    };
    let (posted, length, hold) = offload.run_in(asked.turn().of_small_work(small), read).await??;
    // The messages are there until they are judged.
    held.push(hold);
    Ok((posted, length))
}

impl From<Unreadable> for Denial {
    fn from(unreadable: Unreadable) -> Self {
        Self::new(Reason::Unreadable, unreadable.to_string())
    }
}

/// Messages whose methods and tools pass.
#[derive(Default)]
struct Judged {
    /// How many tools are called.
    calls: u64,
    /// How many lists of tools are asked for.
    lists: usize,
    /// How many messages want an answer.
    requests: usize,
    /// Arguments, with what they must fit.
    arguments: Vec<(InputSchema, Arc<Value>)>,
    /// What each message says; calls all, and of others no two the same.
    said: Vec<Said>,
}

impl Judged {
    fn of(posted: Posted, asked: &Asked<'_>, found: &mut Found) -> Result<Self, Denial> {
        let mut judged = Self::default();
        for message in posted.messages {
            match message {
                Message::Request { method, params } => {
                    judged.requests += 1;
                    if method::of_request(&method) != Some(Kind::Call) {
                        judged.say(Said::method(&method));
                    }
                    match method::of_request(&method) {
                        Some(Kind::Session) => {}
                        Some(Kind::Api) => tools::judge_itself(asked, &mut found.shadow)?,
                        Some(Kind::List) => {
                            message::list_params(&params)?;
                            judged.lists += 1;
                        }
                        Some(Kind::Call) => judged.call(&method, message::Call::of(params)?, asked, found)?,
                        None => return Err(Denial::new(Reason::Tool, "a method that is not passed")),
                    }
                }
                Message::Notification { method } if !method::is_notification(&method) => {
                    return Err(Denial::new(Reason::Tool, "a notification that is not passed"));
                }
                Message::Notification { method } => judged.say(Said::method(&method)),
                Message::Response => judged.say(Said::default()),
            }
        }
        Ok(judged)
    }

    fn say(&mut self, said: Said) {
        if !self.said.contains(&said) {
            self.said.push(said);
        }
    }

    fn call(&mut self, method: &str, call: message::Call, asked: &Asked<'_>, found: &mut Found) -> Result<(), Denial> {
        self.calls += 1;
        let tool = asked
            .policy
            .tool(&asked.api.name, &call.name)
            .ok_or_else(|| Denial::new(Reason::Tool, "the tenant's registry has no such tool of this API"))?;
        tools::judge_tool(asked, tool, &mut found.shadow)?;
        let arguments = Arc::new(Value::Object(call.arguments));
        self.said.push(Said::call(method, tool, &arguments));
        self.arguments.extend(tool.input_schema.clone().map(|schema| (schema, arguments)));
        Ok(())
    }

    /// Do the arguments fit? What a schema and a body together make long is done off the I/O threads (S5).
    async fn arguments(&self, asked: &Asked<'_>, offload: &Offload, bytes: usize) -> Result<(), Denial> {
        if self.arguments.is_empty() {
            return Ok(());
        }
        let tenant = &asked.caller.tenant.uid;
        let light = bytes <= JUDGED_AT_ONCE && self.arguments.iter().all(|(schema, _)| schema.is_light());
        let here = light.then(|| offload.at_once(tenant, || fits(&self.arguments)).ok()).flatten();
        let fit = match here {
            Some(fit) => fit,
            None => {
                let arguments = self.arguments.clone();
                offload.run_in(asked.turn().of_small_work(light), move || fits(&arguments)).await?
            }
        };
        fit.map_err(|misfit| match misfit {
            Misfit::Schema | Misfit::Confusable => Denial::new(Reason::Tool, misfit.to_string()).with_status(400),
            Misfit::TooLarge => Denial::new(Reason::TooLarge, misfit.to_string()),
        })
    }

    /// Each call costs what a request costs. An answer that holds a list must be read on its way back.
    fn passed(&self, asked: &Asked<'_>) -> Result<Passed, Denial> {
        let cost = self.calls.max(1);
        if self.lists == 0 {
            return Ok(Passed { cost, ..Passed::default() });
        }
        if !asked.declared.process {
            return Err(Denial::new(
                Reason::Unavailable,
                "an answer to tools/list must be filtered, and ext_proc is not declared (--process on, or bulkhead.process: on)",
            ));
        }
        let shown = Shown::new(self.lists == self.requests, tools::usable(asked).map(|tool| tool.wire.to_string()));
        Ok(Passed { process: Process::Response, cost, shown: Some(shown) })
    }
}

fn fits(arguments: &[(InputSchema, Arc<Value>)]) -> Result<(), Misfit> {
    arguments.iter().try_for_each(|(schema, arguments)| schema.fits(arguments))
}

/// What is recorded as done: methods that are known and tools that the tenant has, nothing else of the caller's words.
fn action(asked: &Asked<'_>, posted: &Posted) -> String {
    let one = |message: &Message| match message {
        Message::Request { method, params } => match method::of_request(method) {
            Some(Kind::Call) => {
                let named = params.get("name").and_then(Value::as_str).and_then(|name| asked.policy.tool(&asked.api.name, name));
                named.map_or_else(|| format!("{method} (no such tool)"), |tool| format!("{method} {}", tool.name))
            }
            Some(_) => method.clone(),
            None => "unknown method".to_owned(),
        },
        Message::Notification { method } if method::is_notification(method) => method.clone(),
        Message::Notification { .. } => "unknown notification".to_owned(),
        Message::Response => "response".to_owned(),
    };
    let mut action: Vec<String> = posted.messages.iter().take(RECORDED).map(one).collect();
    let rest = posted.messages.len().saturating_sub(RECORDED);
    if rest > 0 {
        action.push(format!("{rest} more"));
    }
    action.join(", ")
}
