//! Very many claims, asked for as often as Zipf's law has it: how many of their requests ask the store.

use super::*;

/// A tenant's shape at one of its subscriptions, with limits that nobody reaches.
fn subscribed(tenant: usize, subscription: usize) -> Arc<Shape> {
    let (keys, uid) = (Keyspace::default(), format!("t{tenant}").parse::<TenantUid>().unwrap());
    let name = format!("s{subscription}").parse().unwrap();
    let shape = Shape::new()
        .shared(keys.global(), limit(1_000_000, 60_000_000), Some((keys.guarantee(&uid), limit(1, 1))))
        .hold(Scope::Tenant, keys.tenant(&uid), limit(600_000, 1_000_000))
        .hold(Scope::Subscription, keys.subscription(&uid, &name), limit(600_000, 1_000_000))
        .metered(keys.meter(&uid, Some(&name), None));
    Arc::new(shape.leased(2))
}

/// What of a load came to the store, in thousandths of the requests: asks, returns of one bucket, tallies of one line.
#[derive(Debug)]
struct Told {
    asks: u64,
    renewals: u64,
    returns: u64,
    tallies: u64,
}

/// So many requests a second, for so many seconds after as many that do not count.
fn play(tenants: usize, subscriptions: usize, a_second: u64, seconds: u64) -> Told {
    let mut sums = Vec::with_capacity(tenants);
    (1..=tenants).fold(0.0, |sum, rank| {
        sums.push(sum + 1.0 / rank as f64);
        sum + 1.0 / rank as f64
    });
    let mut claims: Vec<Option<Claim>> = vec![None; tenants * subscriptions];
    // As many books as a replica has.
    let mut worlds: Vec<World> = std::iter::repeat_with(World::new).take(16).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    let (total, mut told) = (a_second * seconds, Told { asks: 0, renewals: 0, returns: 0, tallies: 0 });
    for number in 0..2 * total {
        if number == total {
            told = Told { asks: 0, renewals: 0, returns: 0, tallies: 0 };
        }
        let point = random() as f64 / (1_u64 << 53) as f64 * sums[tenants - 1];
        let tenant = sums.partition_point(|sum| *sum < point).min(tenants - 1);
        let subscription = random() as usize % subscriptions;
        let claim =
            claims[tenant * subscriptions + subscription].get_or_insert_with(|| World::claim(&subscribed(tenant, subscription), 1)).clone();
        let book = (claim.spread() >> 40) as usize % worlds.len();
        let before = worlds[book].asked;
        assert!(worlds[book].request(&claim));
        told.asks += u64::from(worlds[book].asked - before);
        let tick = number % (a_second / 10) == 0;
        for world in &mut worlds {
            world.now_us += 1_000_000 / a_second;
            if tick {
                let dues = world.book.tick(world.now_us);
                told.tallies += dues.tallies.len() as u64;
                told.renewals += dues.renewals.len() as u64;
                let before = world.returned;
                world.settle(dues);
                told.returns += u64::from(world.returned - before);
            }
        }
    }
    for sum in [&mut told.asks, &mut told.renewals, &mut told.returns, &mut told.tallies] {
        *sum = *sum * 1_000 / total;
    }
    told
}

#[test]
fn of_the_requests_of_many_tenants_few_ask_the_store() {
    // 1,000 claims of 0.5 requests a second to 530.
    let told = play(1_000, 1, 4_000, 10);
    assert!(told.asks <= 20 && told.renewals <= 60, "of 1,000 requests: {told:?}");
    assert!(told.returns <= 2 && told.tallies <= 2, "of 1,000 requests: {told:?}");
}

#[test]
fn what_ends_and_what_is_to_be_metered_seldom_take_an_entry_of_their_own() {
    // 10,000 claims of 0.05 requests a second to 53.
    let told = play(1_000, 10, 4_000, 10);
    assert!(told.asks <= 250 && told.renewals <= 120, "of 1,000 requests: {told:?}");
    assert!(told.returns <= 10 && told.tallies <= 20, "of 1,000 requests: {told:?}");
}
