//! Methods that are answered without a router: what a client may send, and what it is told.

use h2::client::SendRequest;
use http::{HeaderMap, Request};
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::house::{House, LOOK};

/// One connection, as Envoy has.
async fn connect(house: &House) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(house.at.grpc.to_string()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

/// What came back: the message, and the status, wherever it stood.
#[derive(Debug, PartialEq)]
struct Told {
    message: Vec<u8>,
    status: Option<i32>,
}

fn status(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Calls with a body in these pieces, a frame each.
async fn call(client: &mut SendRequest<Bytes>, pieces: &[&[u8]]) -> Result<Told, h2::Error> {
    let request = Request::post(format!("http://house{LOOK}")).header("content-type", "application/grpc").header("te", "trailers");
    let (answer, mut body) = client.send_request(request.body(()).unwrap(), false)?;
    for piece in pieces {
        // A client that is answered before it has said all may find its stream closed.
        if body.send_data(Bytes::copy_from_slice(piece), false).is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _ = body.send_data(Bytes::new(), true);
    let answer = answer.await?;
    assert_eq!(
        (answer.status().as_u16(), answer.headers().get("content-type").map(http::HeaderValue::as_bytes)),
        (200, Some(&b"application/grpc"[..]))
    );
    let (mut told, mut body) = (Told { message: Vec::new(), status: status(answer.headers()) }, answer.into_body());
    while let Some(data) = body.data().await {
        told.message.extend_from_slice(&data?);
    }
    if let Some(trailers) = body.trailers().await? {
        told.status = told.status.or(status(&trailers));
    }
    Ok(told)
}

fn framed(service: &str) -> Vec<u8> {
    let message = HealthCheckRequest { service: service.to_owned() }.encode_to_vec();
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

fn answer() -> Told {
    let message = HealthCheckResponse { status: 1 }.encode_to_vec();
    Told { message: [&[0, 0, 0, 0, 2][..], &message].concat(), status: Some(0) }
}

#[tokio::test]
async fn a_message_is_one_however_it_is_cut() {
    let house = House::open(&[]).await;
    let mut client = connect(&house).await;
    // `wait` is decided in a task of its own, the others in the connection's.
    for service in ["", "wait", "a name of some length"] {
        let framed = framed(service);
        let bytes: Vec<&[u8]> = framed.chunks(1).collect();
        let halves: Vec<&[u8]> = framed.chunks(4).collect();
        for pieces in [&[&framed[..]][..], &bytes, &halves] {
            assert_eq!(call(&mut client, pieces).await.unwrap(), answer(), "{service} in {} frames", pieces.len());
        }
    }
}

#[tokio::test]
async fn what_is_no_message_is_refused_by_its_status() {
    let house = House::open(&[]).await;
    let mut client = connect(&house).await;
    let whole = framed("wait");
    let compressed = [&[1][..], &whole[1..]].concat();
    let twice = [&whole[..], &whole].concat();
    let large = framed(&"x".repeat(5_000));
    for (what, body, code) in [
        ("nothing", &[][..], Code::Internal),
        ("half a head", &whole[..3], Code::Internal),
        ("a head alone", &whole[..5], Code::Internal),
        ("less than it says", &whole[..whole.len() - 1], Code::Internal),
        ("more than it says", &twice, Code::Internal),
        ("a compressed message", &compressed, Code::Unimplemented),
        ("another message", &[0, 0, 0, 0, 2, 0xff, 0xff], Code::Internal),
        ("a large message", &large, Code::OutOfRange),
    ] {
        let told = call(&mut client, &[body]).await.unwrap();
        assert_eq!(told, Told { message: Vec::new(), status: Some(code as i32) }, "{what}");
    }
    assert_eq!(call(&mut client, &[&framed("refuse")]).await.unwrap().status, Some(Code::PermissionDenied as i32));
    assert_eq!(call(&mut client, &[&whole]).await.unwrap(), answer());
}

#[tokio::test]
async fn s12_a_panic_ends_one_call_and_not_its_connection() {
    let house = House::open(&[]).await;
    let mut client = connect(&house).await;
    let mut other = client.clone();
    let wait = framed("wait");
    let pieces = [&wait[..]];
    let ((), (), waiting) = tokio::join!(
        // At once, and after it had to wait.
        async { assert!(call(&mut client, &[&framed("panic")]).await.is_err()) },
        async {
            let mut third = connect(&house).await;
            assert!(call(&mut third, &[&framed("wait and panic")]).await.is_err());
            assert_eq!(call(&mut third, &[&framed("")]).await.unwrap(), answer());
        },
        call(&mut other, &pieces),
    );
    assert_eq!(waiting.unwrap(), answer(), "on the same connection");
    assert_eq!(call(&mut client, &[&framed("")]).await.unwrap(), answer());
}
