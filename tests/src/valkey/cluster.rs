//! A cluster: three masters, each with a third of the slots, and as many replicas as a test wants.

use std::ops::RangeInclusive;

use super::Valkey;
use crate::{deadline, parts, port::free_address};

/// All slots, a third for each master.
const THIRDS: [RangeInclusive<u16>; 3] = [0..=5460, 5461..=10922, 10923..=16383];

/// The nodes.
pub struct Cluster {
    /// The three that began as masters, in the order of their slots.
    pub masters: Vec<Valkey>,
    /// A replica of each master, from the first on.
    pub replicas: Vec<Valkey>,
}

impl Cluster {
    /// Starts three masters and a replica for each of the first so many.
    ///
    /// # Panics
    /// Where it does not form.
    pub async fn start(replicas: usize) -> Self {
        let mut masters = Vec::new();
        for third in THIRDS {
            let node = node().await;
            let (first, last) = (third.start().to_string(), third.end().to_string());
            let _: () = node.0.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
            let _: () = node.0.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(masters.len() + 1).to_string()]).await;
            masters.push(node);
        }
        let mut followers = Vec::new();
        for _ in 0..replicas {
            followers.push(node().await);
        }
        let (host, port, bus) = ("127.0.0.1", masters[0].0.address().port().to_string(), masters[0].1.to_string());
        for (node, _) in masters.iter().skip(1).chain(&followers) {
            let _: () = node.ask(&["CLUSTER", "MEET", host, &port, &bus]).await;
        }
        let only = |nodes: Vec<(Valkey, u16)>| nodes.into_iter().map(|(node, _)| node).collect::<Vec<_>>();
        let cluster = Self { masters: only(masters), replicas: only(followers) };
        cluster.until_formed(3 + replicas).await;
        for (replica, master) in cluster.replicas.iter().zip(&cluster.masters) {
            let id: String = master.ask(&["CLUSTER", "MYID"]).await;
            let _: () = replica.ask(&["CLUSTER", "REPLICATE", &id]).await;
        }
        for replica in &cluster.replicas {
            deadline::until("the replica to follow", deadline::PATIENCE, || async {
                let told: String = replica.try_ask(&["INFO", "replication"]).await.ok()?;
                told.contains("master_link_status:up").then_some(())
            })
            .await;
        }
        cluster
    }

    /// `redis-cluster://` with every node.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.masters.iter().chain(&self.replicas).map(|node| node.address().to_string()).collect();
        format!("redis-cluster://{}", hosts.join(","))
    }

    /// The slot of a key.
    pub async fn slot(&self, key: &str) -> u16 {
        self.masters[0].ask(&["CLUSTER", "KEYSLOT", key]).await
    }

    /// Which of the masters that it began with had a key's slot.
    pub async fn home(&self, key: &str) -> usize {
        let slot = self.slot(key).await;
        THIRDS.iter().position(|third| third.contains(&slot)).expect("every slot is in a third")
    }

    async fn until_formed(&self, nodes: usize) {
        for node in self.masters.iter().chain(&self.replicas) {
            deadline::until("the cluster to form", deadline::PATIENCE, || async {
                let told: String = node.try_ask(&["CLUSTER", "INFO"]).await.ok()?;
                (told.contains("cluster_state:ok") && told.contains(&format!("cluster_known_nodes:{nodes}"))).then_some(())
            })
            .await;
        }
    }
}

/// A node of its own, and the port of its bus.
async fn node() -> (Valkey, u16) {
    for _ in 0..5 {
        let bus = free_address().port();
        let port = bus.to_string();
        let arguments = [
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--cluster-replica-validity-factor",
            "0",
            "--cluster-require-full-coverage",
            "no",
            "--cluster-port",
            &port,
            "--enable-debug-command",
            "yes",
        ];
        if let Some(node) = Valkey::at(parts::valkey(), free_address(), "--port", &arguments).await {
            return (node, bus);
        }
    }
    panic!("a node found no free port in five tries");
}
