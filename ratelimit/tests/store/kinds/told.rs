//! What a replica answered by itself is counted with what it takes in advance next.

use bulkhead_ratelimit::ask::Told;

use super::*;

#[test]
fn what_is_told_with_a_lease_is_counted_besides_whatever_becomes_of_it() {
    let stores = Stores::start();
    for (name, store) in stores.both() {
        let keys = own_keys();
        let shape = |kind| {
            let shape = Shape::new().hold(Scope::Tenant, key(&keys, 0, 0), bucket(kind, 5)).metered(keys.meter(&uid(0), None, None));
            Charge::of(Arc::new(shape), 2)
        };
        let told = Told { admitted: 30, denied: 400 };
        let ask = |kind, count| Ask::of(shape(kind), count, Some(Ahead { told, ..Ahead::of(1, 1, HOLD_US) }));
        let lines = || {
            let lines = stores.runtime.block_on(store.ledger().metered(&keys.account(&uid(0)), Hour::of(Micros(START)))).unwrap();
            lines.iter().map(|line| (line.admitted, line.denied)).collect::<Vec<_>>()
        };
        let both = stores.decide(store, START, &[ask(0, 1), ask(0, 0)]);
        assert_eq!(both.iter().map(|answer| (answer.admitted, answer.ahead)).collect::<Vec<_>>(), [(1, 1), (0, 0)], "{name}");
        assert_eq!(lines(), [(62, 800)], "{name}");
        assert_eq!(stores.decide(store, START, &[ask(0, 1)])[0].admitted, 0, "{name}");
        assert_eq!(lines(), [(92, 1_202)], "{name}: denied");
        assert!(stores.decide(store, START, &[ask(1, 1)])[0].faulty, "{name}: it is no window");
        assert_eq!(lines(), [(122, 1_602)], "{name}: faulty");
    }
}
