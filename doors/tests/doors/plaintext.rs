//! Plaintext stays on this machine (S2).

use bulkhead_doors::{fatal::Fatal, run::Doors};

use crate::house::{SERVICE, flags, refused};

#[tokio::test]
async fn s2_plaintext_where_others_reach_it_is_refused() {
    for address in ["0.0.0.0:0", "[::]:0", "10.1.2.3:9191", "[::ffff:0.0.0.0]:0", "169.254.1.1:9191"] {
        for flag in ["--grpc", "--admin"] {
            let fatal = refused(&[flag, address]).await;
            assert!(
                matches!(&fatal, Fatal::Usage(text) if text.contains(flag) && text.contains("--allow-plaintext")),
                "{flag} {address}: {fatal}"
            );
        }
    }
}

#[tokio::test]
async fn s2_the_operator_may_allow_plaintext() {
    let args = flags(&["--grpc", "0.0.0.0:0", "--admin", "0.0.0.0:0", "--allow-plaintext"]);
    Doors::bind(&SERVICE, &args).await.unwrap();
}

#[tokio::test]
async fn the_health_door_is_open_to_all() {
    Doors::bind(&SERVICE, &flags(&["--health", "0.0.0.0:0"])).await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_is_a_failure_that_names_it() {
    let taken = Doors::bind(&SERVICE, &flags(&[])).await.unwrap();
    let address = taken.addresses().grpc.to_string();
    let fatal = refused(&["--grpc", &address]).await;
    assert!(matches!(&fatal, Fatal::Failed(text) if text.contains(&address)), "{fatal}");
}
