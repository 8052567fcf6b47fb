//! One stream: asking, judging each response, acknowledging or refusing it.

use std::collections::{BTreeMap, HashMap};

use bulkhead_proto::pb::{
    envoy::{
        config::core::v3::Node,
        service::discovery::v3::{
            DiscoveryRequest, DiscoveryResponse, aggregated_discovery_service_client::AggregatedDiscoveryServiceClient,
        },
    },
    google::{
        protobuf::{Struct, Value, value::Kind},
        rpc::Status,
    },
    ratelimit::config::ratelimit::v3::RateLimitConfig,
};
use prost::Name;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Code, Request,
    metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue},
};

use super::{Client, backoff::Waits, channel, resources};
use crate::dropin::{follow::CannotFollow, live::Live, rules::Configuration, settings::Xds};

/// The most characters of an error that go back to the server.
const MAX_DETAIL: usize = 4_096;

/// Opens a stream and follows it to its end. The error is why there is none (any more).
pub(super) async fn serve(client: &mut Client, live: &Live) -> Result<(), String> {
    let endpoint = channel::endpoint(&client.settings).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| causes(&error))?;
    let (ask, asked) = mpsc::channel(4);
    let mut request = Request::new(ReceiverStream::new(asked));
    *request.metadata_mut() = headers(&client.settings).map_err(|error| error.to_string())?;
    let first = request_for(&client.settings, client.accepted.clone(), String::new(), None);
    ask.send(first).await.map_err(|error| error.to_string())?;
    let mut service = AggregatedDiscoveryServiceClient::new(channel).max_decoding_message_size(client.settings.max_message_bytes);
    let mut responses = service.stream_aggregated_resources(request).await.map_err(|status| said(&status))?.into_inner();
    tracing::info!(server = %client.settings.server, "following rate limit configurations");
    let mut refusals = Waits::before_refusing();
    while let Some(response) = responses.message().await.map_err(|status| said(&status))? {
        let answer = judge(client, response, live);
        if answer.error_detail.is_none() {
            refusals = Waits::before_refusing();
        } else {
            // A server that answers a refusal with the next bad update must not keep us busy with it.
            tokio::time::sleep(refusals.next()).await;
        }
        ask.send(answer).await.map_err(|_| "the stream is closed".to_owned())?;
    }
    Ok(())
}

/// Publishes what a response says and answers it: with its version where it is good, with the version before and the reason where it is not.
fn judge(client: &mut Client, response: DiscoveryResponse, live: &Live) -> DiscoveryRequest {
    let loaded = load(&response, client.merge);
    let refused = loaded.as_ref().err().cloned();
    live.publish(loaded);
    let detail = refused.map(|why| {
        let message = why.chars().take(MAX_DETAIL).collect();
        Status { code: Code::InvalidArgument.into(), message, details: Vec::new() }
    });
    if detail.is_none() {
        client.accepted = response.version_info;
    }
    request_for(&client.settings, client.accepted.clone(), response.nonce, detail)
}

fn load(response: &DiscoveryResponse, merge: bool) -> Result<Configuration, String> {
    if response.type_url != RateLimitConfig::type_url() {
        return Err(format!("a response of {} was not asked for", RateLimitConfig::type_url()));
    }
    let drafts = resources::drafts(&response.resources)?;
    Configuration::build(&drafts, merge).map_err(|refused| refused.to_string())
}

fn request_for(settings: &Xds, version_info: String, response_nonce: String, error_detail: Option<Status>) -> DiscoveryRequest {
    let node = Node { id: settings.node_id.clone(), metadata: node_metadata(&settings.node_metadata), ..Node::default() };
    DiscoveryRequest {
        version_info,
        node: Some(node),
        type_url: RateLimitConfig::type_url(),
        response_nonce,
        error_detail,
        ..DiscoveryRequest::default()
    }
}

fn node_metadata(pairs: &BTreeMap<String, String>) -> Option<Struct> {
    let text = |value: &String| Value { kind: Some(Kind::StringValue(value.clone())) };
    let fields: HashMap<_, _> = pairs.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    (!fields.is_empty()).then_some(Struct { fields })
}

/// The headers of each stream.
pub(super) fn headers(settings: &Xds) -> Result<MetadataMap, CannotFollow> {
    let unusable = || CannotFollow {
        variable: "CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS",
        what: "must be names and values of headers: name:value,name:value".to_owned(),
    };
    let mut headers = MetadataMap::new();
    for (name, value) in &settings.headers {
        let name: MetadataKey<Ascii> = name.to_ascii_lowercase().parse().map_err(|_| unusable())?;
        let value: MetadataValue<Ascii> = value.parse().map_err(|_| unusable())?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn said(status: &tonic::Status) -> String {
    let message: String = status.message().chars().take(512).collect();
    format!("{}: {message}", status.code())
}

/// An error with its causes: what a connection failed of stands in the last one.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
