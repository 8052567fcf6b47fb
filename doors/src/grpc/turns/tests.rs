use std::{
    future::poll_fn,
    sync::{Mutex, atomic::AtomicUsize},
    time::Duration,
};

use futures::task::noop_waker;
use hyper::rt::Executor as _;
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    sync::oneshot,
    task,
};

use super::{
    super::{inline::ANSWERED, slices::Sliced},
    *,
};

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls a connection once: how often it was polled, and its task woken, if it wakes itself so many times.
fn one_turn(wakes: usize) -> (usize, usize) {
    let (woken, mut polls) = (Arc::new(Woken::default()), 0);
    {
        let connection = poll_fn(|context| {
            polls += 1;
            if polls <= wakes {
                context.waker().wake_by_ref();
            }
            Poll::<()>::Pending
        });
        let mut turns = Turns::new(Box::pin(connection), Inline::default(), Slice::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(Pin::new(&mut turns).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    (polls, woken.0.load(Ordering::SeqCst))
}

#[test]
fn a_connection_that_wakes_itself_is_polled_in_the_same_turn() {
    assert_eq!(one_turn(0), (1, 0));
    assert_eq!(one_turn(1), (2, 0));
}

#[test]
fn a_connection_that_always_wakes_itself_lets_others_have_their_turn() {
    assert_eq!(one_turn(usize::MAX), (ROUNDS, 1));
}

#[test]
fn calls_begin_after_the_connection_was_polled_and_it_writes_for_many_at_once() {
    let (begun, ended, mut seen) = (Inline::default(), Arc::new(AtomicUsize::new(0)), Vec::new());
    {
        let (own, ended) = (begun.clone(), Arc::clone(&ended));
        let connection = poll_fn(|_| {
            if seen.is_empty() {
                (0..2 * ANSWERED + 1).for_each(|_| {
                    let ended = Arc::clone(&ended);
                    own.execute(async move { _ = ended.fetch_add(1, Ordering::SeqCst) });
                });
            }
            seen.push(ended.load(Ordering::SeqCst));
            Poll::<()>::Pending
        });
        let mut turns = Turns::new(Box::pin(connection), begun, Slice::default());
        assert!(Pin::new(&mut turns).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    // Sooner where this machine stood still meanwhile.
    assert!(seen[0] == 0 && seen.len() >= 3 && seen.windows(2).all(|two| two[1] <= two[0] + ANSWERED), "{seen:?}");
    assert_eq!(ended.load(Ordering::SeqCst), 2 * ANSWERED + 1, "none is left");
}

#[test]
fn s4_what_was_answered_is_written_before_the_next_call_that_takes_long() {
    let (begun, ended, mut seen) = (Inline::default(), Arc::new(AtomicUsize::new(0)), Vec::new());
    for _ in 0..3 {
        let ended = Arc::clone(&ended);
        begun.execute(async move {
            let since = std::time::Instant::now();
            while since.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            ended.fetch_add(1, Ordering::SeqCst);
        });
    }
    {
        let connection = poll_fn(|_| {
            seen.push(ended.load(Ordering::SeqCst));
            Poll::<()>::Pending
        });
        let mut turns = Turns::new(Box::pin(connection), begun, Slice::default());
        assert!(Pin::new(&mut turns).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(seen, [0, 1, 2]);
}

#[tokio::test]
async fn calls_that_come_in_any_number_all_begin_without_being_woken_by_anybody() {
    let (begun, (all, ended)) = (Inline::default(), oneshot::channel::<()>());
    let all = Arc::new(all);
    for _ in 0..10 * ROUNDS * ANSWERED {
        let one = Arc::clone(&all);
        begun.execute(async move { drop(one) });
    }
    drop(all);
    let connection = tokio::spawn(Turns::new(Box::pin(std::future::pending::<()>()), begun, Slice::default()));
    assert!(tokio::time::timeout(Duration::from_secs(60), ended).await.expect("none is left").is_err());
    connection.abort();
}

#[test]
fn what_wakes_a_connection_after_its_turn_wakes_its_task() {
    let woken = Arc::new(Woken::default());
    let inner = Arc::new(Mutex::new(noop_waker()));
    let kept = Arc::clone(&inner);
    let connection = poll_fn(move |context| {
        *kept.lock().unwrap() = context.waker().clone();
        Poll::<()>::Pending
    });
    let mut turns = Turns::new(Box::pin(connection), Inline::default(), Slice::default());
    let waker = Waker::from(Arc::clone(&woken));
    for turn in 1..=2 {
        assert!(Pin::new(&mut turns).poll(&mut Context::from_waker(&waker)).is_pending());
        inner.lock().unwrap().wake_by_ref();
        inner.lock().unwrap().wake_by_ref();
        assert_eq!(woken.0.load(Ordering::SeqCst), turn, "once a turn");
    }
}

/// A connection that begins a call in each turn, once the one before is answered, and ends after the last.
async fn served(calls: usize, call: impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>>) {
    let begun = Inline::default();
    let (own, mut left, mut answered) = (begun.clone(), calls, None::<oneshot::Receiver<()>>);
    let connection = poll_fn(move |context| {
        loop {
            if let Some(waits) = &mut answered {
                if Pin::new(waits).poll(context).is_pending() {
                    return Poll::Pending;
                }
                answered = None;
            }
            let Some(less) = left.checked_sub(1) else { return Poll::Ready(()) };
            left = less;
            let (future, (done, waits)) = (call(), oneshot::channel());
            answered = Some(waits);
            own.execute(async move {
                future.await;
                drop::<oneshot::Sender<()>>(done);
            });
        }
    });
    Turns::new(Box::pin(connection), begun, Slice::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_whenever_another_thread_wakes_it() {
    // Each call waits for what a thread of its own sends as soon as it can: before, while and after the connection has its turn.
    let (asks, asked) = std::sync::mpsc::channel::<oneshot::Sender<()>>();
    let answering = std::thread::spawn(move || asked.into_iter().for_each(drop));
    let all = served(50_000, move || {
        let (answer, waits) = oneshot::channel();
        asks.send(answer).unwrap();
        Box::pin(async move { drop(waits.await) })
    });
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("none waits for ever");
    answering.join().unwrap();
}

#[tokio::test]
async fn a_call_that_is_woken_often_gets_a_task_of_its_own() {
    let tasks = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&tasks);
    let stream = move || {
        let seen = Arc::clone(&seen);
        Box::pin(async move {
            for _ in 0..100 {
                seen.lock().unwrap().push(task::id());
                let mut yielded = false;
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }) as Pin<Box<dyn Future<Output = ()> + Send>>
    };
    let connection = tokio::spawn(async move {
        served(1, stream).await;
        task::id()
    });
    let own = tokio::time::timeout(Duration::from_secs(60), connection).await.expect("it is polled until it ends").unwrap();
    let tasks = tasks.lock().unwrap();
    assert_eq!((tasks.len(), tasks.first()), (100, Some(&own)));
    assert_ne!(tasks.last(), Some(&own), "a stream would hold up its connection's decisions");
}

#[tokio::test]
async fn a_connection_that_ends_gives_up_its_calls() {
    let (held, gone) = oneshot::channel::<()>();
    let begun = Inline::default();
    begun.execute(async move {
        std::future::pending::<()>().await;
        drop(held);
    });
    let mut turns = 0;
    let connection = poll_fn(|context| {
        turns += 1;
        context.waker().wake_by_ref();
        if turns > 1 { Poll::Ready(()) } else { Poll::Pending }
    });
    Turns::new(Box::pin(connection), begun, Slice::default()).await;
    assert!(gone.await.is_err());
}

#[tokio::test]
async fn s5_a_connection_that_brings_much_lets_others_have_their_turn_between_its_slices() {
    const MUCH: usize = 2 << 20;
    let (slice, others) = (Slice::default(), Arc::new(AtomicUsize::new(0)));
    let (mut sliced, mut read, mut room) = (Sliced::new(tokio::io::repeat(b'x'), slice.clone()), 0, vec![0; 16 << 10]);
    let connection = poll_fn(move |context| {
        while read < MUCH {
            let mut buffer = ReadBuf::new(&mut room);
            // Nobody wakes it for what is left.
            std::task::ready!(Pin::new(&mut sliced).poll_read(context, &mut buffer)).unwrap();
            read += buffer.filled().len();
        }
        Poll::Ready(())
    });
    let had = Arc::clone(&others);
    let other = tokio::spawn(async move {
        loop {
            had.fetch_add(1, Ordering::SeqCst);
            task::yield_now().await;
        }
    });
    let all = Turns::new(Box::pin(connection), Inline::default(), slice);
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("it is polled until it has read all");
    other.abort();
    assert!(others.load(Ordering::SeqCst) >= 8, "{others:?}");
}
