//! The floor: a tonic server that answers Check and ShouldRateLimit without deciding anything, in a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use bulkhead_proto::pb::envoy::service::{
    auth::v3::{
        CheckRequest, CheckResponse,
        authorization_server::{Authorization, AuthorizationServer},
    },
    ratelimit::v3::{
        RateLimitRequest, RateLimitResponse,
        rate_limit_response::Code,
        rate_limit_service_server::{RateLimitService, RateLimitServiceServer},
    },
};
use prost::Message as _;
use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{
        Server,
        server::{Router, TcpIncoming},
    },
};

use crate::{load::Subject, matrix::Sockets};

/// Where it listens, in its directory.
const SOCKET: &str = "floor";
/// What it answers a Check with, in its directory.
const WORDS: &str = "words";

/// The floor's process.
pub(crate) struct Floor {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Floor {
    /// Starts it: a Check is answered with what allows, and nothing else.
    pub(crate) async fn start() -> Self {
        Self::saying(&CheckResponse::default()).await
    }

    /// Starts one that answers every Check with the same words: what Envoy does because of them is no part of what deciding costs.
    pub(crate) async fn saying(words: &CheckResponse) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::write(directory.path().join(WORDS), words.encode_to_vec()).expect("a writable directory");
        let me = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(me);
        command.arg("--floor").arg(directory.path()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("this program can be started");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is ours");
        BufReader::new(stdout).read_line(&mut line).expect("the floor tells where it listens");
        Self { child, address: line.trim().parse().expect("an address"), directory }
    }

    /// Where it listens on TCP.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// It, over one kind of sockets.
    pub(crate) fn subject(&self, sockets: Sockets) -> Subject {
        let uri = match sockets {
            Sockets::Tcp => format!("http://{}", self.address),
            Sockets::Unix => format!("unix:{}", self.directory.path().join(SOCKET).display()),
        };
        Subject { uri, process: self.child.id(), store: None }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Clone)]
struct Nothing {
    words: CheckResponse,
}

#[tonic::async_trait]
impl Authorization for Nothing {
    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(self.words.clone()))
    }
}

#[tonic::async_trait]
impl RateLimitService for Nothing {
    async fn should_rate_limit(&self, _: Request<RateLimitRequest>) -> Result<Response<RateLimitResponse>, Status> {
        Ok(Response::new(RateLimitResponse { overall_code: Code::Ok.into(), ..RateLimitResponse::default() }))
    }
}

/// Serves until it is killed, on a free port, which it prints, and on a unix socket in its directory.
pub(crate) async fn serve(directory: &Path) {
    let words = std::fs::read(directory.join(WORDS)).expect("its words");
    let nothing = Nothing { words: CheckResponse::decode(words.as_slice()).expect("its words") };
    let unix = UnixListener::bind(directory.join(SOCKET)).expect("a path that nobody has");
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", tcp.local_addr().expect("a bound listener has an address"));
    let served = tokio::join!(
        server(&nothing).serve_with_incoming(TcpIncoming::from(tcp).with_nodelay(Some(true))),
        server(&nothing).serve_with_incoming(UnixListenerStream::new(unix)),
    );
    served.0.and(served.1).expect("the floor serves until it is killed");
}

fn server(nothing: &Nothing) -> Router {
    Server::builder().add_service(AuthorizationServer::new(nothing.clone())).add_service(RateLimitServiceServer::new(nothing.clone()))
}
