//! Asks for one key under several limits: in a call of the store a key has one.

use std::sync::Arc;

use bulkhead_ratelimit::{
    ask::Ask,
    bucket::{Bucket, Window},
    charge::{Charge, Scope, Shape},
    key::Key,
    store::Store,
};

use crate::support::{own_keys, valkey::Server};

fn ask(key: &Key, limit: u64) -> Ask {
    let shape = Shape::new().hold(Scope::Api, key.clone(), Bucket::Window(Window::new(limit, 3_600_000_000)));
    Ask::one(Charge::of(Arc::new(shape), 1))
}

async fn calls(server: &Server) -> u64 {
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let told: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn s12_who_asks_for_one_key_under_two_limits_by_turns_makes_two_calls_of_it_and_not_one_for_each() {
    let (server, keys) = (Server::get(), own_keys());
    let store = server.store().await;
    let (contested, other) = (keys.descriptor(["contested"]), keys.descriptor(["other"]));
    let mut asks: Vec<Ask> = (0..120).map(|nth| ask(&contested, if nth % 2 == 0 { 10 } else { 20 })).collect();
    asks.push(ask(&other, 1));
    // Under a limit of its own, and with a key that is not in the batch otherwise: nothing of what must wait is sent with the first.
    let both = Shape::new().hold(Scope::Api, keys.descriptor(["third"]), Bucket::Window(Window::new(1, 3_600_000_000))).hold(
        Scope::Api,
        contested.clone(),
        Bucket::Window(Window::new(30, 3_600_000_000)),
    );
    asks.push(Ask::one(Charge::of(Arc::new(both), 1)));
    asks.push(ask(&keys.descriptor(["third"]), 2));
    let before = calls(&server).await;
    let answers = store.decide_apart(&asks).await;
    assert_eq!(calls(&server).await - before, 3, "one for each limit of the key");
    let admitted: Vec<u32> = answers.into_iter().map(|answer| answer.unwrap().admitted).collect();
    assert_eq!(admitted.iter().take(120).sum::<u32>(), 20);
    assert_eq!(admitted.get(120..), Some(&[1, 0, 1][..]), "the second has a window of one that the third has used");
}
