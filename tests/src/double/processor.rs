//! A double of an external processor.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use bulkhead_proto::pb::envoy::service::ext_proc::v3::{
    ProcessingRequest, ProcessingResponse,
    external_processor_server::{ExternalProcessor, ExternalProcessorServer},
};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Record, Serving};

/// What a processor does with one message: answer it, end the stream with a status, or (`Ok(None)`) end it as if all were well.
type Answer = Arc<dyn Fn(&ProcessingRequest) -> Result<Option<ProcessingResponse>, Status> + Send + Sync>;

/// A running processor.
pub struct Processor {
    serving: Serving,
    record: Record<ProcessingRequest>,
}

struct Door {
    answer: Answer,
    record: Record<ProcessingRequest>,
}

impl Processor {
    /// Starts one that answers each message so; `Ok(None)` ends the stream with gRPC OK.
    pub async fn start(answer: impl Fn(&ProcessingRequest) -> Result<Option<ProcessingResponse>, Status> + Send + Sync + 'static) -> Self {
        let record = Record::new();
        let door = Door { answer: Arc::new(answer), record: record.clone() };
        Self { serving: Serving::start(ExternalProcessorServer::new(door)).await, record }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// What Envoy sent so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ProcessingRequest> {
        self.record.all()
    }
}

#[tonic::async_trait]
impl ExternalProcessor for Door {
    type ProcessStream = Pin<Box<dyn Stream<Item = Result<ProcessingResponse, Status>> + Send>>;

    async fn process(&self, request: Request<Streaming<ProcessingRequest>>) -> Result<Response<Self::ProcessStream>, Status> {
        let mut messages = request.into_inner();
        let (answers, stream) = mpsc::channel(4);
        let (answer, record) = (Arc::clone(&self.answer), self.record.clone());
        tokio::spawn(async move {
            // Envoy ends each stream with a reset: an error here is the normal end.
            while let Ok(Some(message)) = messages.message().await {
                record.push(message.clone());
                let sent = match answer(&message) {
                    Ok(Some(response)) => answers.send(Ok(response)).await,
                    Ok(None) => return,
                    Err(status) => answers.send(Err(status)).await,
                };
                if sent.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}
