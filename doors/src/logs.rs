//! What the service says: one line an event, on standard error, as JSON or for eyes.
//!
//! A caller decides what stands in some fields (a host, a path). No field can begin a new line or steer a terminal, in either form: control
//! characters are escaped where lines are written, after formatting, so that no formatter can forget it.

use std::io::{self, Write};

use tracing::Level;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::fatal::Fatal;

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

/// Starts logging, once a process.
///
/// # Errors
/// Something else has set up logging.
pub fn install(args: &LogArgs) -> Result<(), Fatal> {
    tracing::Dispatch::new(subscriber(args, OneLine(io::stderr)))
        .try_init()
        .map_err(|why| Fatal::failed(format!("cannot start logging: {why}")))
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
