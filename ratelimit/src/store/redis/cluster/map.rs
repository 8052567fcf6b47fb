//! Which node owns which slot, as the nodes tell it.

use std::collections::{BTreeSet, HashMap};

use redis::{FromRedisValue as _, Value};

use super::{
    super::address::{AddressError, HostPort},
    slot::SLOTS,
};

/// What one node knows: who owns each slot, and how new that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    /// The latest fail-over or move of slots that the node has heard of (`cluster_current_epoch`).
    epoch: u64,
    /// Whether the node is with the majority: a node that is not would name masters that were replaced (`cluster_state`).
    whole: bool,
    nodes: Vec<HostPort>,
    /// For each slot a place in `nodes`.
    owners: Vec<Option<u16>>,
}

impl Map {
    /// Reads a node's `CLUSTER INFO` and `CLUSTER SLOTS`. A node that names no host means itself.
    pub(super) fn read(asked: &HostPort, info: &str, slots: &Value) -> Option<Self> {
        let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let epoch = info.get("cluster_current_epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
        let whole = info.get("cluster_state") == Some(&"ok");
        let mut map = Self { epoch, whole, nodes: Vec::new(), owners: vec![None; usize::from(SLOTS)] };
        let Value::Array(ranges) = slots else { return None };
        for range in ranges {
            let Value::Array(range) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else { return None };
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            let node = master_of(master, asked)?;
            let place = map.place(node)?;
            map.owners.get_mut(first..=last)?.fill(Some(place));
        }
        Some(map)
    }

    fn place(&mut self, node: HostPort) -> Option<u16> {
        let known = self.nodes.iter().position(|known| *known == node);
        let place = known.unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        u16::try_from(place).ok()
    }

    /// Who owns a slot; none while nobody does.
    pub(super) fn owner(&self, slot: u16) -> Option<&HostPort> {
        let place = self.owners.get(usize::from(slot)).copied().flatten()?;
        self.nodes.get(usize::from(place))
    }

    /// The same map where a slot is another node's, as that node's predecessor has just told (MOVED).
    pub(super) fn with(&self, slot: u16, owner: HostPort) -> Self {
        let mut map = self.clone();
        if let (Some(place), Some(entry)) = (map.place(owner), map.owners.get_mut(usize::from(slot))) {
            *entry = Some(place);
        }
        map
    }

    /// The nodes that own slots.
    pub(super) fn masters(&self) -> BTreeSet<&HostPort> {
        let places: BTreeSet<u16> = self.owners.iter().flatten().copied().collect();
        places.into_iter().filter_map(|place| self.nodes.get(usize::from(place))).collect()
    }

    /// Whether every slot is somebody's.
    pub(super) fn is_covered(&self) -> bool {
        self.owners.iter().all(Option::is_some)
    }

    /// Which of two maps to believe: one of the majority, then the newer.
    pub(super) fn rank(&self) -> (bool, u64) {
        (self.whole, self.epoch)
    }
}

/// `[host, port, id, metadata]`: the host is empty or null where the node does not know its own.
fn master_of(fields: &[Value], asked: &HostPort) -> Option<HostPort> {
    let [host, Value::Int(port), ..] = fields else { return None };
    let host = match host {
        Value::Nil => String::new(),
        host => String::from_redis_value(host.clone()).ok()?,
    };
    named(&host, &port.to_string(), asked).ok()
}

/// A node as another node names it.
pub(super) fn named(host: &str, port: &str, asked: &HostPort) -> Result<HostPort, AddressError> {
    HostPort::of(if host.is_empty() { &asked.host } else { host }, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> HostPort {
        HostPort::of("seed", "7000").unwrap()
    }

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let node = Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::BulkString(b"id".into())]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    #[test]
    fn a_map_says_who_owns_a_slot() {
        let slots = Value::Array(vec![range(0, 100, "a", 1), range(101, 16_383, "", 7000)]);
        let map = Map::read(&asked(), "cluster_state:ok\r\ncluster_current_epoch:7\r\n", &slots).unwrap();
        assert_eq!((map.rank(), map.is_covered()), ((true, 7), true));
        assert_eq!(map.owner(100), HostPort::of("a", "1").ok().as_ref());
        assert_eq!(map.owner(101), Some(&asked()));
        let moved = map.with(5, HostPort::of("b", "2").unwrap());
        assert_eq!((moved.owner(5).unwrap().to_string().as_str(), moved.owner(6)), ("b:2", map.owner(6)));
        assert_eq!((map.masters().len(), moved.masters().len()), (2, 3));
    }

    #[test]
    fn what_is_no_map_is_none() {
        for slots in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(5, 16_384, "a", 1)]),
            Value::Array(vec![range(9, 8, "a", 1), range(-1, 3, "a", 1)]),
            Value::Array(vec![range(0, 1, "a b", 1)]),
            Value::Array(vec![range(0, 1, "a", 0)]),
        ] {
            assert_eq!(Map::read(&asked(), "", &slots), None, "{slots:?}");
        }
        assert!(!Map::read(&asked(), "", &Value::Array(vec![])).unwrap().is_covered());
    }
}
