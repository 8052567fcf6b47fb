use std::{sync::mpsc, time::Duration};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn uid(text: &str) -> TenantUid {
    text.parse().unwrap()
}

#[tokio::test]
async fn s5_a_tenant_whose_work_never_ends_keeps_nobody_else_waiting() {
    let offload = Arc::new(Offload::with_places(4));
    let (stop, stopped) = mpsc::channel::<()>();
    let stopped = Arc::new(Mutex::new(stopped));
    let stuck: Vec<_> = (0..WAITING)
        .map(|_| {
            let (offload, stopped) = (Arc::clone(&offload), Arc::clone(&stopped));
            tokio::spawn(async move { offload.run(&uid("hostile"), soon(), move || stopped.lock().unwrap().recv().unwrap_err()).await })
        })
        .collect();
    // Its lane is full, and says so at once.
    while offload.lane(&uid("hostile")).waiting.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(offload.run(&uid("hostile"), soon(), || ()).await, Err(Undone::Crowded));
    for other in ["one", "two", "three"] {
        assert_eq!(offload.run(&uid(other), soon(), || 7).await, Ok(7));
    }
    drop(stop);
    for work in stuck {
        assert!(work.await.unwrap().is_ok());
    }
    assert_eq!(offload.run(&uid("hostile"), soon(), || 7).await, Ok(7));
}

#[tokio::test]
async fn s5_what_is_queued_waits_until_there_is_no_queue_or_no_time_left_and_takes_no_room_of_what_is_not() {
    let offload = Arc::new(Offload::new(Room { places: 4, each: 1, waiting: 2, queued: 3, ahead: 0, at_once: Allowance::of_small_work() }));
    let (stop, stopped) = mpsc::channel::<()>();
    let stopped = Arc::new(Mutex::new(stopped));
    let hostile = uid("hostile");
    let queued = |until| Turn { tenant: &hostile, until, crowd: Crowd::Queued };
    assert_eq!(offload.run_in(queued(soon()), || 7).await, Ok(7));
    let stuck: Vec<_> = (0..4)
        .map(|_| {
            let (offload, stopped) = (Arc::clone(&offload), Arc::clone(&stopped));
            tokio::spawn(async move {
                let turn = Turn { tenant: &uid("hostile"), until: soon(), crowd: Crowd::Queued };
                offload.run_in(turn, move || stopped.lock().unwrap().recv().unwrap_err()).await
            })
        })
        .collect();
    while offload.queued(&hostile) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(offload.run_in(queued(Instant::now()), || ()).await, Err(Undone::Late), "the third in the queue gives up");
    let third = offload.run_in(queued(soon()), || ());
    tokio::pin!(third);
    assert!(futures::poll!(&mut third).is_pending());
    assert_eq!(offload.run_in(queued(soon()), || ()).await, Err(Undone::Crowded), "nobody is a fourth");
    assert_eq!(offload.room_of(&hostile), 2, "Checks of the same tenant have their own");
    assert_eq!(offload.run_in(Turn { tenant: &uid("other"), until: soon(), crowd: Crowd::Queued }, || 7).await, Ok(7));
    drop(stop);
    for work in stuck {
        assert!(work.await.unwrap().is_ok());
    }
    assert_eq!(third.await, Ok(()));
}

#[tokio::test]
async fn work_that_is_late_or_breaks_has_no_result() {
    let offload = Offload::with_places(4);
    let (stop, stopped) = mpsc::channel::<()>();
    let late = offload.run(&uid("acme"), Instant::now() + Duration::from_millis(5), move || stopped.recv().unwrap_err()).await;
    assert_eq!(late.map(drop), Err(Undone::Late));
    drop(stop);
    let acme = uid("acme");
    let broken = offload.run(&acme, soon(), || std::panic::resume_unwind(Box::new("broken"))).await;
    assert_eq!(broken.map(|(): ()| ()), Err(Undone::Broke));
    assert_eq!(offload.run(&uid("acme"), soon(), || 7).await, Ok(7));
}

#[tokio::test]
async fn lanes_that_are_empty_are_forgotten() {
    let offload = Offload::with_places(4);
    for nth in 0..10_000 {
        offload.run(&uid(&format!("tenant-{nth}")), soon(), || ()).await.unwrap();
    }
    assert!(offload.lanes.lock().unwrap().len() < 100);
}

#[tokio::test]
async fn what_waits_in_a_lane_is_done_by_who_works_there_already_and_a_piece_that_breaks_or_is_given_up_stops_nobody() {
    let room = Room { places: 4, each: 1, waiting: 64, queued: 0, ahead: 64, at_once: Allowance::of_small_work() };
    let (offload, (stop, stopped)) = (Arc::new(Offload::new(room)), mpsc::channel::<()>());
    let first = {
        let offload = Arc::clone(&offload);
        tokio::spawn(async move {
            let work = move || (stopped.recv().unwrap_err(), thread::current().id()).1;
            offload.run(&uid("acme"), soon(), work).await
        })
    };
    while offload.room_of(&uid("acme")) == 64 {
        tokio::task::yield_now().await;
    }
    let given_up = offload.run(&uid("acme"), Instant::now(), || panic!("done all the same")).await;
    assert_eq!(given_up.map(|(): ()| ()), Err(Undone::Late));
    assert_eq!(offload.room_of(&uid("acme")), 63, "what is given up takes no room");
    let acme = uid("acme");
    let broken = offload.run(&acme, soon(), || std::panic::resume_unwind(Box::new("broken")));
    let behind = offload.run(&acme, soon(), || thread::current().id());
    let release = async { drop(stop) };
    let (broken, behind, ()) = tokio::join!(broken, behind, release);
    assert_eq!(broken.map(|(): ()| ()), Err(Undone::Broke));
    assert_eq!(behind.unwrap(), first.await.unwrap().unwrap(), "no other thread was woken for it");
}

#[tokio::test]
async fn s5_whoever_waits_for_a_place_of_all_has_it_after_one_piece_of_who_has_many() {
    let room = Room { places: 1, each: 1, waiting: 64, queued: 0, ahead: 0, at_once: Allowance::of_small_work() };
    let (offload, (stop, stopped)) = (Arc::new(Offload::new(room)), mpsc::channel::<()>());
    let done = Arc::new(Mutex::new(Vec::new()));
    let (mut stopped, mut all) = (Some(stopped), Vec::new());
    for tenant in ["hostile", "hostile", "hostile", "hostile", "other"] {
        let (offload, done, stopped) = (Arc::clone(&offload), Arc::clone(&done), stopped.take());
        all.push(tokio::spawn(async move {
            let work = move || {
                stopped.map(|stopped| stopped.recv());
                done.lock().unwrap().push(tenant);
            };
            offload.run(&uid(tenant), soon(), work).await
        }));
        // Until it waits for its place.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    drop(stop);
    for work in all {
        work.await.unwrap().unwrap();
    }
    assert_eq!(*done.lock().unwrap(), ["hostile", "other", "hostile", "hostile", "hostile"]);
}
