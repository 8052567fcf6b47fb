//! A management server that does as it is told, and a world with a client of it.

use std::{
    fs,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bulkhead_proto::pb::{
    envoy::service::discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
        aggregated_discovery_service_server::{AggregatedDiscoveryService, AggregatedDiscoveryServiceServer},
    },
    google::protobuf::Any,
    ratelimit::config::ratelimit::v3::{RateLimitConfig, RateLimitDescriptor, RateLimitPolicy, RateLimitUnit},
};
use bulkhead_ratelimit::dropin::{
    follow::{Following, follow},
    live::{Live, Load},
    settings::{Settings, Variables},
};
use bulkhead_tests::port::free_address;
use prost::{Message, Name};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    metadata::MetadataMap,
    transport::{Certificate, Identity, ServerTlsConfig},
};

/// Longer than anything takes; reached only by what never happens.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn type_url() -> String {
    RateLimitConfig::type_url()
}

pub(super) fn config(name: &str, domain: &str, descriptors: &[RateLimitDescriptor]) -> RateLimitConfig {
    RateLimitConfig { name: name.into(), domain: domain.into(), descriptors: descriptors.to_vec() }
}

pub(super) fn descriptor(key: &str, value: &str) -> RateLimitDescriptor {
    RateLimitDescriptor { key: key.into(), value: value.into(), ..RateLimitDescriptor::default() }
}

pub(super) fn limited(mut descriptor: RateLimitDescriptor, requests_per_unit: u32, unit: RateLimitUnit) -> RateLimitDescriptor {
    descriptor.rate_limit = Some(RateLimitPolicy { unit: unit.into(), requests_per_unit, ..RateLimitPolicy::default() });
    descriptor
}

pub(super) fn resource(config: &RateLimitConfig) -> Any {
    Any { type_url: type_url(), value: config.encode_to_vec() }
}

/// What the client said.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) stream: usize,
    pub(super) request: DiscoveryRequest,
    pub(super) headers: MetadataMap,
}

type Responses = mpsc::Sender<Result<DiscoveryResponse, Status>>;

#[derive(Clone)]
struct Service {
    said: mpsc::UnboundedSender<Said>,
    open: Arc<Mutex<Option<Responses>>>,
    opened: watch::Sender<usize>,
    streams: Arc<AtomicUsize>,
    refusing: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<DiscoveryResponse, Status>> + Send>>;
    type DeltaAggregatedResourcesStream = Pin<Box<dyn Stream<Item = Result<DeltaDiscoveryResponse, Status>> + Send>>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let stream = self.streams.fetch_add(1, Ordering::SeqCst) + 1;
        if self.refusing.load(Ordering::SeqCst) {
            return Err(Status::internal("no"));
        }
        let (send, receive) = mpsc::channel(8);
        *self.open.lock().unwrap() = Some(send);
        self.opened.send_replace(stream);
        let (headers, said) = (request.metadata().clone(), self.said.clone());
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                drop(said.send(Said { stream, request, headers: headers.clone() }));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receive))))
    }

    async fn delta_aggregated_resources(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("not asked for"))
    }
}

pub(super) struct Server {
    service: Service,
    said: mpsc::UnboundedReceiver<Said>,
    sent: usize,
}

impl Server {
    /// Listens, with TLS where files are given.
    pub(super) async fn start(address: SocketAddr, tls: Option<&TempDir>) -> Self {
        let (say, said) = mpsc::unbounded_channel();
        let service =
            Service { said: say, open: Arc::default(), opened: watch::Sender::new(0), streams: Arc::default(), refusing: Arc::default() };
        let mut builder = tonic::transport::Server::builder();
        if let Some(files) = tls {
            let read = |name: &str| fs::read(files.path().join(name)).unwrap();
            let tls = ServerTlsConfig::new()
                .identity(Identity::from_pem(read("server.pem"), read("server.key")))
                .client_ca_root(Certificate::from_pem(read("ca.pem")));
            builder = builder.tls_config(tls).unwrap();
        }
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let router = builder.add_service(AggregatedDiscoveryServiceServer::new(service.clone()));
        tokio::spawn(router.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
        Self { service, said, sent: 0 }
    }

    /// Sends on the stream that is open, or on the first to come.
    pub(super) async fn send(&mut self, type_url: String, version: &str, resources: Vec<Any>) {
        self.sent += 1;
        let nonce = format!("nonce-{}", self.sent);
        let response = DiscoveryResponse { version_info: version.into(), resources, type_url, nonce, ..DiscoveryResponse::default() };
        let mut opened = self.service.opened.subscribe();
        let open = || self.service.open.lock().unwrap().clone();
        tokio::time::timeout(PATIENCE, opened.wait_for(|_| open().is_some())).await.unwrap().unwrap();
        let sender = open().unwrap();
        sender.send(Ok(response)).await.unwrap();
    }

    pub(super) fn drop_streams(&self) {
        *self.service.open.lock().unwrap() = None;
    }

    pub(super) fn refuse_streams(&self) {
        self.service.refusing.store(true, Ordering::SeqCst);
    }

    pub(super) fn admit_streams(&self) {
        self.service.refusing.store(false, Ordering::SeqCst);
    }

    /// How many streams were opened, refused ones too.
    pub(super) fn streams(&self) -> usize {
        self.service.streams.load(Ordering::SeqCst)
    }
}

/// A server, and a client that follows it.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) live: Arc<Live>,
    loads: Arc<Mutex<Vec<Load>>>,
    stream: usize,
    _following: Following,
}

impl World {
    pub(super) async fn new(more: &[(&str, &str)]) -> Self {
        let address = free_address();
        let server = Server::start(address, None).await;
        let loads = Arc::new(Mutex::new(Vec::new()));
        let live = Live::new({
            let loads = Arc::clone(&loads);
            move |load| loads.lock().unwrap().push(load.clone())
        });
        let url = address.to_string();
        let mut given = vec![
            ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
            ("CONFIG_GRPC_XDS_SERVER_URL", url.as_str()),
            ("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", "100ms"),
            ("XDS_CLIENT_BACKOFF_MAX_INTERVAL", "200ms"),
        ];
        given.extend(more);
        let settings = Settings::read(Variables::new(given)).unwrap();
        let following = follow(&settings, &live).unwrap();
        Self { server, live, loads, stream: 1, _following: following }
    }

    /// What the client said next.
    pub(super) async fn said(&mut self) -> Said {
        tokio::time::timeout(PATIENCE, self.server.said.recv()).await.expect("the client says something").unwrap()
    }

    /// The client's answer to what was sent last.
    pub(super) async fn answer(&mut self) -> Said {
        let nonce = format!("nonce-{}", self.server.sent);
        loop {
            let said = self.said().await;
            if said.request.response_nonce == nonce {
                return said;
            }
            assert_eq!(said.request.response_nonce, "", "an answer to something else: {said:?}");
            self.stream = said.stream;
        }
    }

    /// What the client says first on its next stream.
    pub(super) async fn first_of_next_stream(&mut self) -> Said {
        loop {
            let said = self.said().await;
            if said.stream > self.stream {
                self.stream = said.stream;
                return said;
            }
        }
    }

    pub(super) async fn send(&mut self, version: &str, resources: Vec<Any>) {
        self.server.send(type_url(), version, resources).await;
    }

    pub(super) async fn send_of(&mut self, type_url: &str, version: &str, resources: Vec<Any>) {
        self.server.send(type_url.to_owned(), version, resources).await;
    }

    pub(super) fn domains(&self) -> Vec<String> {
        self.live.load().map(|rules| rules.domains().map(str::to_owned).collect()).unwrap_or_default()
    }

    pub(super) fn errors(&self) -> usize {
        self.loads.lock().unwrap().iter().filter(|load| matches!(load, Load::Error(_))).count()
    }
}

/// An authority, another one, and certificates of the first: a server called `control-plane`, and a client.
pub(super) fn tls_files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ca, other) = (authority(), authority());
    write("ca.pem", ca.pem());
    write("other.pem", other.pem());
    for (file, name) in [("server", "control-plane"), ("client", "ratelimit")] {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        write(&format!("{file}.pem"), cert.pem());
        write(&format!("{file}.key"), key.serialize_pem());
    }
    folder
}
