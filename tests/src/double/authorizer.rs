//! A double of ext-authz.

use std::{net::SocketAddr, sync::Arc};

use bulkhead_proto::pb::{
    envoy::{
        config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
        service::auth::v3::{
            CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
            authorization_server::{Authorization, AuthorizationServer},
            check_response::HttpResponse,
        },
        r#type::v3::HttpStatus,
    },
    google::{
        protobuf::{Struct, Value as ProtoValue, value::Kind},
        rpc::Status as RpcStatus,
    },
};
use tonic::{Request, Response, Status};

use super::{Record, Serving};

type Answer = Arc<dyn Fn(&CheckRequest) -> Result<CheckResponse, Status> + Send + Sync>;

/// A running authorizer.
pub struct Authorizer {
    serving: Serving,
    record: Record<CheckRequest>,
}

struct Door {
    answer: Answer,
    record: Record<CheckRequest>,
}

impl Authorizer {
    /// Starts one that answers so.
    pub async fn start(answer: impl Fn(&CheckRequest) -> Result<CheckResponse, Status> + Send + Sync + 'static) -> Self {
        let record = Record::new();
        let door = Door { answer: Arc::new(answer), record: record.clone() };
        Self { serving: Serving::start(AuthorizationServer::new(door)).await, record }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// What Envoy asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<CheckRequest> {
        self.record.all()
    }
}

#[tonic::async_trait]
impl Authorization for Door {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        self.record.push(request.clone());
        (self.answer)(&request).map(Response::new)
    }
}

/// An allow with this metadata: texts, and `cost` as the number that it must be. Where the texts say nothing of `process` it is `none`, so that
/// the shipped chains do not ask ext_proc.
#[must_use]
pub fn allow(metadata: &[(&str, &str)], cost: Option<f64>) -> CheckResponse {
    let text = |value: &str| ProtoValue { kind: Some(Kind::StringValue(value.to_owned())) };
    let mut fields: Vec<(String, ProtoValue)> = metadata.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect();
    if fields.iter().all(|(key, _)| key != "process") {
        fields.push(("process".to_owned(), text("none")));
    }
    fields.extend(cost.map(|cost| ("cost".to_owned(), ProtoValue { kind: Some(Kind::NumberValue(cost)) })));
    CheckResponse {
        status: Some(RpcStatus { code: 0, ..RpcStatus::default() }),
        dynamic_metadata: Some(Struct { fields: fields.into_iter().collect() }),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
    }
}

/// The same allow, with these headers overwritten for the upstream (`:path` is one).
///
/// # Panics
/// Where the answer is no allow.
#[must_use]
pub fn with_headers(mut allow: CheckResponse, headers: &[(&str, &str)]) -> CheckResponse {
    let Some(HttpResponse::OkResponse(ok)) = &mut allow.http_response else { panic!("headers for the upstream belong to an allow") };
    ok.headers.extend(headers.iter().map(|(name, value)| HeaderValueOption {
        header: Some(HeaderValue { key: (*name).to_owned(), value: (*value).to_owned(), ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }));
    allow
}

/// A denial with this HTTP status and body, as a gRPC-OK answer.
#[must_use]
pub fn denied(status: i32, body: &str) -> CheckResponse {
    CheckResponse {
        status: Some(RpcStatus { code: 7, ..RpcStatus::default() }),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: status }),
            headers: Vec::new(),
            body: body.to_owned(),
        })),
    }
}
