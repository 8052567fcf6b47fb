//! The gRPC door as a unix socket.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
};

use bulkhead_doors::fatal::Fatal;
use tonic::transport::Endpoint;

use crate::house::{House, refused, serving};

fn socket(folder: &tempfile::TempDir) -> (std::path::PathBuf, String) {
    let path = folder.path().join("grpc.sock");
    let flag = format!("unix:{}", path.display());
    (path, flag)
}

async fn is_served(flag: &str) -> bool {
    let channel = Endpoint::from_shared(flag.to_owned()).unwrap().connect().await.unwrap();
    serving(channel, "").await.is_ok()
}

#[tokio::test]
async fn s2_a_unix_socket_is_served_to_its_owner_and_group_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (path, flag) = socket(&folder);
    let house = House::open(&["--grpc", &flag, "--drain-delay", "0s"]).await;
    assert!(is_served(&flag).await);
    let found = fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o007, 0, "{:o}", found.permissions().mode());
    house.shutdown.drain();
    house.ended.await.unwrap().unwrap();
    assert!(!path.exists(), "the socket's file goes with its listener");
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (path, flag) = socket(&folder);
    // std leaves the file behind, as a killed process does.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _house = House::open(&["--grpc", &flag]).await;
    assert!(is_served(&flag).await);
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_, flag) = socket(&folder);
    let _house = House::open(&["--grpc", &flag]).await;
    let fatal = refused(&["--grpc", &flag]).await;
    assert!(matches!(&fatal, Fatal::Failed(text) if text.contains("another process")), "{fatal}");
    assert!(is_served(&flag).await, "the first one still holds it");
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, flag) = socket(&folder);
    fs::write(&path, "precious").unwrap();
    let fatal = refused(&["--grpc", &flag]).await;
    assert!(matches!(&fatal, Fatal::Failed(text) if text.contains("no socket")), "{fatal}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}
