//! A cluster: each call goes to the node that owns the slot of its keys, over a link, with a breaker, of that node's own (S12).
//!
//! Why not the client's own cluster connection: it sends a command again after a lost connection or a time-out, and a charge whose
//! outcome is unknown must never be sent again (S12, S24). Here a call is repeated only when a node says that it ran nothing: the slot is another's (MOVED), this
//! part of it already is (ASK), or it is between the two (TRYAGAIN).

mod map;
pub(crate) mod slot;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use futures::future::join_all;
use redis::{Cmd, RedisError, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use self::map::Map;
use super::{
    address::HostPort,
    dial::Dialer,
    link::{CallError, Link, Manner, Route, told},
};
use crate::store::StoreError;

/// How many nodes may send a call on before it is given up.
const HOPS: usize = 5;

/// The pause before a slot that is between two nodes is asked again.
const BETWEEN: Duration = Duration::from_millis(2);

/// How often the map is asked for while all is well, and while a node or a slot is missing.
const REFRESH: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(200));

/// How long a node may take to tell its map.
const PATIENCE: Duration = Duration::from_millis(500);

/// The most nodes that are linked to.
const NODES: usize = 1_024;

/// The nodes of a cluster, and who owns what.
pub(super) struct Cluster {
    shared: Arc<Shared>,
    _refresher: AbortOnDropHandle<()>,
}

struct Shared {
    name: Arc<str>,
    dialer: Dialer,
    seeds: Vec<HostPort>,
    map: ArcSwapOption<Map>,
    links: Mutex<HashMap<HostPort, Arc<Link>>>,
    /// The map is known to be old.
    stale: Notify,
}

impl Cluster {
    /// Begins to ask the seeds for the map, and keeps at it.
    pub(super) fn start(dialer: Dialer, seeds: Vec<HostPort>, name: &str) -> Self {
        let name = Arc::from(name);
        let shared = Arc::new(Shared { name, dialer, seeds, map: ArcSwapOption::empty(), links: Mutex::default(), stale: Notify::new() });
        let refresher = AbortOnDropHandle::new(tokio::spawn(refresh(Arc::clone(&shared))));
        Self { shared, _refresher: refresher }
    }

    /// The node that owns a slot, as far as is known.
    pub(super) fn owner(&self, slot: u16) -> Option<HostPort> {
        self.shared.map.load().as_ref()?.owner(slot).cloned()
    }

    /// Waits until every slot's node is connected, for as long as is allowed.
    pub(super) async fn ready(&self, within: Duration) -> bool {
        let whole = async {
            while !self.shared.is_whole() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(within, whole).await.is_ok()
    }

    /// Runs a call on the node that owns its keys, which are of one slot.
    ///
    /// # Errors
    /// As [`Link::run`].
    pub(super) async fn run(&self, command: &Cmd, deadline: Duration) -> Result<Value, StoreError> {
        let until = Instant::now() + deadline;
        let slot = slot_of(command).ok_or(StoreError::Garbled)?;
        let mut node = self.owner(slot).ok_or_else(|| self.shared.away())?;
        let mut manner = Manner::Plain;
        for _ in 0..HOPS {
            let link = self.shared.link(&node).ok_or_else(|| self.shared.away())?;
            let left = until.saturating_duration_since(Instant::now());
            let ran = link.run(command, manner, left).await;
            match ran {
                Ok(reply) => return Ok(reply),
                Err(CallError::Elsewhere { node: next, asking }) => {
                    let Some((host, port)) = next.rsplit_once(':') else { return Err(self.shared.away()) };
                    node = map::named(host, port, &node).map_err(|_| self.shared.away())?;
                    manner = if asking { Manner::Asking } else { Manner::Plain };
                    if !asking {
                        self.shared.moved(slot, node.clone());
                    }
                    // A node that is new to us is connected to first, as far as time allows.
                    let link = self.shared.link(&node).ok_or_else(|| self.shared.away())?;
                    link.ready(until.saturating_duration_since(Instant::now())).await;
                }
                Err(CallError::Again) => {
                    sleep(BETWEEN).await;
                    // The owner knows best where the slot is by now.
                    node = self.owner(slot).ok_or_else(|| self.shared.away())?;
                    manner = Manner::Plain;
                }
                Err(CallError::Store(error)) => {
                    self.shared.stale.notify_one();
                    return Err(error);
                }
            }
        }
        Err(self.shared.away())
    }
}

impl Shared {
    /// Nothing was sent; the map is to be asked for anew.
    fn away(&self) -> StoreError {
        self.stale.notify_one();
        StoreError::Away
    }

    fn link(&self, node: &HostPort) -> Option<Arc<Link>> {
        // A map of links changes in one step, with nothing between that panics.
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(node) {
            return Some(Arc::clone(link));
        }
        if links.len() >= NODES {
            return None;
        }
        let link = Arc::new(Link::start(Route::Node(self.dialer.node(node)), &format!("{} {node}", self.name)));
        links.insert(node.clone(), Arc::clone(&link));
        Some(link)
    }

    fn moved(&self, slot: u16, node: HostPort) {
        self.map.rcu(|map| map.as_ref().map(|map| Arc::new(map.with(slot, node.clone()))));
        self.stale.notify_one();
    }

    fn is_whole(&self) -> bool {
        let map = self.map.load();
        let Some(map) = map.as_ref() else { return false };
        map.is_covered() && map.masters().into_iter().all(|node| self.link(node).is_some_and(|link| link.is_closed()))
    }

    /// Links to those that own slots; whoever owns none and is not connected is forgotten.
    fn adopt(&self, map: Map) {
        let masters: Vec<HostPort> = map.masters().into_iter().cloned().collect();
        self.links.lock().unwrap_or_else(PoisonError::into_inner).retain(|node, link| link.is_closed() || masters.contains(node));
        for node in &masters {
            self.link(node);
        }
        self.map.store(Some(Arc::new(map)));
    }

    /// Asks everybody who is known, and believes the newest map of the majority.
    ///
    /// # Errors
    /// Why the first of them told none, if nobody did.
    async fn ask(&self) -> Result<Map, String> {
        let mut nodes: Vec<HostPort> = self.links.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        nodes.extend(self.seeds.iter().filter(|seed| !nodes.contains(seed)).cloned().collect::<Vec<_>>());
        let told = join_all(nodes.iter().map(|node| async move {
            let map = timeout(PATIENCE, self.ask_one(node)).await;
            let map = map.unwrap_or_else(|_| Err("it does not answer".to_owned()));
            map.map_err(|why| format!("{node} tells no slots: {why}"))
        }));
        let (mut maps, mut first) = (Vec::new(), None);
        for told in told.await {
            match told {
                Ok(map) => maps.push(map),
                Err(why) => first = first.or(Some(why)),
            }
        }
        maps.into_iter().max_by_key(Map::rank).ok_or_else(|| first.unwrap_or_else(|| "no node is known".to_owned()))
    }

    async fn ask_one(&self, node: &HostPort) -> Result<Map, String> {
        let (info, slots) = self.slots(node).await.map_err(|error| told(&error))?;
        Map::read(node, &info, &slots).ok_or_else(|| "what it says of them cannot be read".to_owned())
    }

    async fn slots(&self, node: &HostPort) -> Result<(String, Value), RedisError> {
        let linked = self.links.lock().unwrap_or_else(PoisonError::into_inner).get(node).and_then(|link| link.handle());
        let mut connection: MultiplexedConnection = match linked {
            Some(connection) => connection,
            None => self.dialer.node(node).connect(PATIENCE).await?,
        };
        redis::pipe().cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await
    }
}

async fn refresh(shared: Arc<Shared>) {
    let mut complaint = None;
    loop {
        let why = match shared.ask().await {
            Ok(map) => {
                let why = (!map.is_covered()).then(|| "no node owns some of the slots".to_owned());
                shared.adopt(map);
                why
            }
            Err(why) => Some(why),
        };
        // Once an outage and reason, not once an attempt.
        if let Some(why) = why.as_ref().filter(|_| why != complaint) {
            tracing::warn!(store.name = &*shared.name, store.error = why, "cannot use the store");
        }
        complaint = why;
        let pause = if shared.is_whole() { REFRESH.0 } else { REFRESH.1 };
        // What is found old is asked for at once, but a cluster in disorder is not asked in a storm.
        drop(timeout(pause, shared.stale.notified()).await);
        sleep(REFRESH.1 / 4).await;
    }
}

/// The slot of a command's first key: after the number of keys of a script, else the first argument.
fn slot_of(command: &Cmd) -> Option<u16> {
    let mut words = command.args_iter().filter_map(|word| match word {
        redis::Arg::Simple(word) => Some(word),
        _ => None,
    });
    let key = if words.next()? == b"EVALSHA" { words.nth(2)? } else { words.next()? };
    Some(slot::slot(key))
}
