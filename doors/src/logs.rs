//! What the service says: one line an event, on standard error, as JSON or for eyes.
//!
//! Whoever logs never waits for whoever reads: lines are written by a thread of their own, from a bounded queue, and what finds it full is lost and
//! counted. A pipe that nobody reads holds up no decision, and no end.
//!
//! A caller decides what stands in some fields (a host, a path). No field can begin a new line or steer a terminal, in either form: control
//! characters are escaped where lines are written, after formatting, so that no formatter can forget it.

use std::{
    io::{self, Write},
    panic::{self, PanicHookInfo},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tracing::Level;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{fatal::Fatal, metrics::Metrics};

/// How many lines wait to be written, before further ones are lost.
const QUEUE: usize = 4_096;
/// How long the end of the process waits for its last lines to be taken.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The target of what is recorded, not only logged: who changed what. It is written whatever `--log-level` says.
pub const AUDIT: &str = "audit";

/// How the service logs.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// The form of log lines
    #[arg(long, value_enum, default_value = "json")]
    pub log: Format,
    /// What is logged: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For eyes.
    Text,
}

/// Logging, for as long as it is held. Dropped, it waits a moment for the last lines to be taken.
#[derive(Debug)]
pub(crate) struct Logs(Option<WorkerGuard>);

impl Drop for Logs {
    fn drop(&mut self) {
        let guard = self.0.take();
        // In a thread, because the guard may print to standard output, which may be the very pipe that nobody reads.
        within(LAST_LINES, move || drop(guard));
    }
}

/// Starts logging, once a process. What is lost is counted in `bulkhead_log_lines_lost_total`.
///
/// # Errors
/// Something else has set up logging.
pub(crate) fn install(args: &LogArgs, metrics: &Metrics) -> Result<Logs, Fatal> {
    let unwritten = Arc::new(AtomicU64::new(0));
    let (queue, guard) = queue(Lossy { to: io::stderr(), unwritten: Arc::clone(&unwritten) });
    let full = queue.error_counter();
    metrics.read_counter(
        "bulkhead_log_lines_lost_total",
        "Lines of the log that were not written: too many waited, or standard error took none.",
        move || unwritten.load(Ordering::Relaxed).saturating_add(full.dropped_lines() as u64),
    );
    let dispatch = tracing::Dispatch::new(subscriber(args, OneLine(move || queue.clone())));
    dispatch.try_init().map_err(|why| Fatal::failed(format!("cannot start logging: {why}")))?;
    panic::set_hook(Box::new(panicked));
    Ok(Logs(Some(guard)))
}

/// Where lines wait for the thread that writes them.
fn queue(to: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).thread_name("log").finish(to)
}

/// A panic is a line like others: the default writes to standard error itself, in the thread that decides. Of its text only what stands in the code is
/// told, because what is put into it may be out of a request.
fn panicked(panic: &PanicHookInfo<'_>) {
    let (file, line) = panic.location().map_or(("", 0), |at| (at.file(), at.line()));
    tracing::error!(at.file = file, at.line = line, text = panic.payload().downcast_ref::<&'static str>(), "panicked: a fault of ours");
}

/// Does what may hang in a thread of its own, and waits so long for it.
pub(crate) fn within(patience: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel::<()>();
    let started = thread::Builder::new().spawn(move || {
        work();
        drop(done);
    });
    if started.is_ok() {
        let _ = waiting.recv_timeout(patience);
    }
}

/// Counts what could not be written: whoever hands it over is told nothing.
#[derive(Debug)]
struct Lossy<W> {
    to: W,
    unwritten: Arc<AtomicU64>,
}

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.to.write_all(line).inspect_err(|_| {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes as `args` say. The level is that of Bulkhead's own code; libraries below it say warnings and errors only, because at finer
/// levels HTTP libraries print headers, and headers hold tokens.
fn subscriber<W>(args: &LogArgs, writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let own = LevelFilter::from_level(args.log_level);
    let filter = Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("bulkhead", own).with_target(AUDIT, LevelFilter::INFO);
    // A line that cannot be written is lost. To say so would be one more line that cannot be written, and that one would panic: a log collector
    // that went away must not take decisions with it.
    let layer = fmt::layer().with_writer(writer).with_ansi(false).log_internal_errors(false);
    let layer: Box<dyn Layer<_> + Send + Sync> = match args.log {
        Format::Json => Box::new(layer.json().flatten_event(true).with_current_span(true).with_span_list(false)),
        Format::Text => Box::new(layer),
    };
    tracing_subscriber::registry().with(filter).with(layer)
}

/// Makes writers that hand on whole lines with every control character escaped.
#[derive(Debug, Clone)]
struct OneLine<M>(M);

impl<W: Write, M: Fn() -> W> MakeWriter<'_> for OneLine<M> {
    type Writer = LineWriter<W>;

    fn make_writer(&self) -> LineWriter<W> {
        LineWriter(self.0())
    }
}

/// Writes one event. The formatter hands over an event in one call, with the newline that ends it.
#[derive(Debug)]
struct LineWriter<W>(W);

impl<W: Write> Write for LineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if line.chars().any(steers) {
            let mut escaped = String::with_capacity(line.len() + 32);
            for c in line.chars() {
                if steers(c) {
                    // A JSON escape too, so that what stands inside a JSON string stays what it was.
                    escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
                } else {
                    escaped.push(c);
                }
            }
            escaped.push('\n');
            self.0.write_all(escaped.as_bytes())?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters, and what ends a line or turns its direction for whoever reads it.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
