//! An HTTP client that sends exactly what it is told: no normalised paths, no merged headers.
//!
//! ```no_run
//! # use bulkhead_tests::client::Request;
//! # async fn example(envoy: std::net::SocketAddr, token: &str) {
//! let answer = Request::get("/acme/billing-api/invoices").bearer(token).header("X-Tenant-ID", "globex").send(envoy).await;
//! assert_eq!(answer.status, 200);
//! # }
//! ```

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::body::Bytes;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(70);

/// A request, as it will stand on the wire.
#[derive(Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
}

impl Request {
    /// Any method and any path, sent byte by byte.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new(), trailers: Vec::new() }
    }

    /// A GET.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST with a body.
    #[must_use]
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", path) }
    }

    /// One more header line; the same name twice is two lines.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// `X-API-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    /// The Host header; by default the address that is called.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        self.header("host", host)
    }

    /// A trailer, for [`Request::send_http2`].
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request for another path.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// Sends it over HTTP/1.1 on a connection of its own.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn send(&self, to: SocketAddr) -> Answer {
        Connection::open(to).await.send(self).await
    }

    /// As [`Request::send`], from another address of this machine: `127.0.0.2` is another client to Envoy than `127.0.0.1` (Linux only).
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn send_from(&self, from: Ipv4Addr, to: SocketAddr) -> Answer {
        Connection::open_from(from, to).await.send(self).await
    }

    /// Sends it over HTTP/2 (prior knowledge), with its trailers.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn send_http2(&self, to: SocketAddr) -> Answer {
        self.try_http2(to).await.expect("an HTTP/2 answer")
    }

    /// As [`Request::send_http2`], where the stream may be reset instead of answered.
    ///
    /// # Errors
    /// How the stream ended.
    ///
    /// # Panics
    /// Where nothing comes at all.
    pub async fn try_http2(&self, to: SocketAddr) -> Result<Answer, String> {
        timeout(PATIENCE, self.http2(to)).await.expect("an answer in time").map_err(|error| error.to_string())
    }

    async fn http2(&self, to: SocketAddr) -> Result<Answer, Box<dyn std::error::Error>> {
        let (client, connection) = h2::client::handshake(TcpStream::connect(to).await?).await?;
        let driving = tokio::spawn(connection);
        let host = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map_or(to.to_string(), |(_, host)| host.clone());
        let mut request = http::Request::builder().method(self.method.as_str()).uri(format!("http://{host}{}", self.path));
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            request = request.header(name, value);
        }
        let ends = self.body.is_empty() && self.trailers.is_empty();
        let (answer, mut stream) = client.ready().await?.send_request(request.body(())?, ends)?;
        if !ends {
            stream.send_data(Bytes::from(self.body.clone()), self.trailers.is_empty())?;
        }
        if !self.trailers.is_empty() {
            let mut trailers = http::HeaderMap::new();
            for (name, value) in &self.trailers {
                trailers.append(http::HeaderName::try_from(name)?, http::HeaderValue::try_from(value)?);
            }
            stream.send_trailers(trailers)?;
        }
        let (parts, mut incoming) = answer.await?.into_parts();
        let mut body = Vec::new();
        while let Some(chunk) = incoming.data().await {
            let chunk = chunk?;
            incoming.flow_control().release_capacity(chunk.len())?;
            body.extend_from_slice(&chunk);
        }
        driving.abort();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Ok(Answer { status: parts.status.as_u16(), headers, body })
    }

    fn wire(&self, to: SocketAddr) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let mut line = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        let has = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if !has("host") {
            line("host", &to.to_string());
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        if !self.body.is_empty() && !has("content-length") && !has("transfer-encoding") {
            line("content-length", &self.body.len().to_string());
        }
        head.push_str("\r\n");
        let mut wire = head.into_bytes();
        wire.extend_from_slice(&self.body);
        wire
    }
}

/// Method and path alone: headers hold tokens, which do not belong into the output of a test.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// An HTTP/1.1 connection that is kept open between requests.
pub struct Connection {
    stream: BufStream<TcpStream>,
    to: SocketAddr,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// Where nobody listens.
    pub async fn open(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap_or_else(|error| panic!("{to}: {error}")), to)
    }

    /// Connects from this address.
    ///
    /// # Panics
    /// Where nobody listens, or the address is not this machine's.
    pub async fn open_from(from: Ipv4Addr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((from, 0))).unwrap_or_else(|error| panic!("{from}: {error}"));
        Self::over(socket.connect(to).await.unwrap_or_else(|error| panic!("{from} to {to}: {error}")), to)
    }

    fn over(stream: TcpStream, to: SocketAddr) -> Self {
        stream.set_nodelay(true).expect("a connected socket");
        Self { stream: BufStream::new(stream), to }
    }

    /// Sends a request and reads its whole answer.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn send(&mut self, request: &Request) -> Answer {
        let wire = request.wire(self.to);
        let head = request.method == "HEAD";
        timeout(PATIENCE, self.exchange(&wire, head)).await.expect("an answer in time").expect("an HTTP/1.1 answer")
    }

    /// Sends bytes as they are and reads one whole answer.
    ///
    /// # Panics
    /// Where no whole answer comes.
    pub async fn send_raw(&mut self, wire: &[u8]) -> Answer {
        timeout(PATIENCE, self.exchange(wire, false)).await.expect("an answer in time").expect("an HTTP/1.1 answer")
    }

    async fn exchange(&mut self, wire: &[u8], head: bool) -> std::io::Result<Answer> {
        self.stream.write_all(wire).await?;
        self.stream.flush().await?;
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| invalid(&status))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !head && status != 204 && status != 304 {
            answer.body = self.body(&answer).await?;
        }
        Ok(answer)
    }

    async fn body(&mut self, answer: &Answer) -> std::io::Result<Vec<u8>> {
        if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            loop {
                let size = self.line().await?;
                let size = usize::from_str_radix(size.trim(), 16).map_err(|_| invalid(&size))?;
                let start = body.len();
                body.resize(start + size, 0);
                self.stream.read_exact(&mut body[start..]).await?;
                self.line().await?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        let mut body = Vec::new();
        match answer.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => {
                body.resize(length, 0);
                self.stream.read_exact(&mut body).await?;
            }
            None => {
                self.stream.read_to_end(&mut body).await?;
            }
        }
        Ok(body)
    }

    async fn line(&mut self) -> std::io::Result<String> {
        use tokio::io::AsyncBufReadExt as _;
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }
}

fn invalid(line: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not HTTP/1.1: {line:?}"))
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header of that (lower case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in the body of a {}: {}", self.status, self.text()))
    }

    /// The reason of a problem body: `wrong_tenant` of `urn:bulkhead:wrong_tenant`.
    ///
    /// # Panics
    /// Where the body is not a problem of ours.
    #[must_use]
    pub fn reason(&self) -> String {
        let problem = self.json();
        let kind = problem["type"].as_str().unwrap_or_else(|| panic!("no problem type: {problem}"));
        kind.strip_prefix("urn:bulkhead:").unwrap_or_else(|| panic!("{kind} is not ours")).to_owned()
    }

    /// What the upstream double saw.
    ///
    /// # Panics
    /// Where the answer is not an upstream's.
    #[must_use]
    pub fn seen(&self) -> crate::upstream::Seen {
        assert_eq!(self.status, 200, "not an upstream's answer: {}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: not an upstream's answer: {}", self.text()))
    }
}
