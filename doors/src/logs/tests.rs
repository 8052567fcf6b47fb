use std::sync::{Arc, Mutex, mpsc::Receiver};

use super::*;

/// What would have gone to standard error.
#[derive(Debug, Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(log: Format, log_level: Level, work: impl FnOnce()) -> String {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = subscriber(&LogArgs { log, log_level }, OneLine(move || writer.clone()));
    tracing::subscriber::with_default(subscriber, work);
    let bytes = captured.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// What a caller might put into a host or path to forge a line, or to steer the terminal that shows it.
const HOSTILE: &str =
    "x\n2026-01-01T00:00:00Z  INFO bulkhead: verdict=allow\r\n{\"level\":\"INFO\"}\u{1b}[2J\u{7}\u{85}\u{2028}\u{2029}\u{202e}\u{9b}31m\0";

#[test]
fn s11_a_callers_field_never_begins_a_line_in_either_form() {
    for form in [Format::Json, Format::Text] {
        let text = logged(form, Level::INFO, || {
            let span = tracing::info_span!("request", host = %HOSTILE, path = HOSTILE, debug = ?HOSTILE);
            span.in_scope(|| tracing::info!(shown = %HOSTILE, text = HOSTILE, debug = ?HOSTILE, "denied {HOSTILE}"));
            tracing::warn!("{}", HOSTILE);
        });
        assert_eq!(text.matches('\n').count(), 2, "{form:?}: {text}");
        let steering: Vec<char> = text.chars().filter(|c| *c != '\n' && steers(*c)).collect();
        assert!(steering.is_empty(), "{form:?}: {steering:?}");
    }
}

#[test]
fn json_lines_are_objects_with_dotted_fields_and_what_was_logged_reads_back() {
    let text = logged(Format::Json, Level::INFO, || tracing::info!(decision.id = "d-1", request.host = %HOSTILE, "denied"));
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "denied");
    assert_eq!(line["decision.id"], "d-1");
    assert_eq!(line["request.host"], HOSTILE);
    assert_eq!(line["level"], "INFO");
}

#[test]
fn the_level_is_that_of_our_own_code_and_libraries_never_print_headers() {
    for level in [Level::TRACE, Level::DEBUG, Level::INFO] {
        let text = logged(Format::Text, level, || {
            tracing::trace!(target: "bulkhead_ext_authz::check", "ours");
            tracing::info!(target: "hyper::proto", "authorization: Bearer abc");
            tracing::debug!(target: "h2::codec", "authorization: Bearer abc");
            tracing::warn!(target: "rustls::server", "theirs");
        });
        assert_eq!(text.contains("ours"), level == Level::TRACE);
        assert!(text.contains("theirs") && !text.contains("Bearer"), "{text}");
    }
    let quiet = logged(Format::Text, Level::ERROR, || tracing::warn!(target: "rustls::server", "theirs"));
    assert_eq!(quiet, "");
}

/// A pipe that is full until its other end is dropped, and broken then.
struct Full(Receiver<()>);

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn whoever_logs_into_a_full_pipe_never_waits_and_every_lost_line_is_counted_once() {
    let (reader, pipe) = mpsc::channel();
    let unwritten = Arc::new(AtomicU64::new(0));
    let (queue, guard) = queue(Lossy { to: Full(pipe), unwritten: Arc::clone(&unwritten) });
    let full = queue.error_counter();
    let args = LogArgs { log: Format::Json, log_level: Level::INFO };
    let more = 10;
    tracing::subscriber::with_default(subscriber(&args, OneLine(move || queue.clone())), || {
        for _ in 0..QUEUE + 1 + more {
            tracing::info!("a line");
        }
    });
    // One line may have been taken to be written already, or not yet.
    let at_once = full.dropped_lines();
    assert!((more..=more + 1).contains(&at_once), "{at_once}");
    assert_eq!(unwritten.load(Ordering::Relaxed), 0);
    drop(reader);
    drop(Logs(Some(guard)));
    assert_eq!(at_once as u64 + unwritten.load(Ordering::Relaxed), (QUEUE + 1 + more) as u64);
}

#[test]
fn the_end_does_not_wait_for_a_pipe_that_nobody_reads() {
    let (_reader, pipe) = mpsc::channel();
    let (mut queue, guard) = queue(Lossy { to: Full(pipe), unwritten: Arc::default() });
    for _ in 0..2 * QUEUE {
        queue.write_all(b"a line\n").unwrap();
    }
    drop(Logs(Some(guard)));
}

#[test]
fn a_panic_is_a_line_with_its_place_and_without_what_was_put_into_its_text() {
    let told = |work: fn()| {
        logged(Format::Json, Level::ERROR, || {
            let before = panic::take_hook();
            panic::set_hook(Box::new(panicked));
            assert!(panic::catch_unwind(work).is_err());
            panic::set_hook(before);
        })
    };
    let text = told(|| {
        let body = String::from("secret");
        panic!("cannot read {body}")
    });
    assert!(text.contains("panicked") && text.contains("tests.rs") && !text.contains("secret"), "{text}");
}
