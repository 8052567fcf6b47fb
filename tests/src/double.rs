//! Doubles of the services that Envoy asks, and of a collector of spans, each with an answer of the test's choice and a record of what Envoy sent.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    body::Body,
    codegen::{Service, http::Request},
    server::NamedService,
    transport::Server,
};

mod authorizer;
mod collector;
mod limiter;
mod processor;

pub use authorizer::{Authorizer, allow, denied, with_headers};
pub use collector::{Collector, Received};
pub use limiter::{Limiter, answer};
pub use processor::Processor;

/// What was received, in its order.
pub(crate) struct Record<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Record<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    pub(crate) fn push(&self, item: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<T> Clone for Record<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// A gRPC server, with health, on a free loopback port; stopped when dropped.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Serving {
    pub(crate) async fn start<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = http::Response<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (_reporter, health) = tonic_health::server::health_reporter();
        let serving = Server::builder().add_service(health).add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        let task = tokio::spawn(async move { serving.await.expect("a double serves until it is dropped") });
        Self { address, task }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}
