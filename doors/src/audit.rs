//! The audit streams of a service: its flags, and the command that verifies what was written. The same for both services.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use bulkhead_audit::{
    audit::Audit,
    chain::Seal,
    descriptors,
    settings::{Bounds, Instance, Rotation, Settings, Sync},
    verify::{Anchor, verify as verify_streams},
};
use bulkhead_tenancy::clock::Clock;

use crate::{args::duration, fatal::Fatal, metrics::Metrics};

/// The shortest key that seals records, in bytes.
const KEY_BYTES: usize = 16;
/// The longest.
const LONGEST_KEY: usize = 4096;

/// Where and how audit streams are written.
#[derive(Debug, Clone, clap::Args)]
pub struct AuditArgs {
    /// Where audit streams of regions without a folder of their own are written; without it, and without `regions` of the Platform, nothing is
    /// written to disk: `audit: full` denies, and denials go to the log
    #[arg(long, value_name = "DIR")]
    pub audit_dir: Option<PathBuf>,
    /// When a record counts as accepted, so that `audit: full` may answer: once it is on the disk, once the system has it (disks are synced every
    /// second), or once the system has it and writes it when it likes
    #[arg(long, value_name = "each|batch|os", value_parser = sync, default_value = "batch")]
    pub audit_sync: Sync,
    /// What tells this process's streams from those of others of its kind: the machine's name, if it is not said. Two processes never write one
    /// file: the second of a machine gets a number, and one whose name is given here waits
    #[arg(long, value_name = "NAME")]
    pub audit_instance: Option<Instance>,
    /// How large a file becomes before the next begins
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64M")]
    pub audit_file_bytes: u64,
    /// How old a file becomes before the next begins, at the next record
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1440m")]
    pub audit_file_age: Duration,
    /// How much the files of one stream may take together: take complete files away before that, because a stream that is full denies its
    /// tenant's `audit: full`
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4G")]
    pub audit_stream_bytes: u64,
    /// A file with a key to seal records with (HMAC-SHA-256): without the key nobody can then write a chain anew
    #[arg(long, value_name = "FILE")]
    pub audit_key_file: Option<PathBuf>,
}

/// `verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// Folders to look for streams in, or files of streams
    #[arg(value_name = "DIR|FILE", required = true)]
    pub paths: Vec<PathBuf>,
    /// The key that the records were sealed with
    #[arg(long, value_name = "FILE")]
    pub audit_key_file: Option<PathBuf>,
    /// A record that was there, as an earlier `verify` printed it: a stream may begin right after it, and it must not be missing
    #[arg(long, value_name = "SEQ:HASH")]
    pub anchor: Vec<Anchor>,
}

/// Makes the streams of a service. Nothing is opened before there is something to write.
///
/// # Errors
/// Usage (status 2): a key file that does not do.
pub fn open(args: &AuditArgs, service: &'static str, clock: Arc<dyn Clock>, metrics: &Metrics) -> Result<Arc<Audit>, Fatal> {
    let records = metrics.tenant_counter(
        "bulkhead_audit_records_total",
        "Audit records, by tenant: written, merged into others, lost (best effort), refused (their decision was denied).",
        "outcome",
    );
    let settings = Settings {
        service,
        instance: args.audit_instance.clone(),
        directory: args.audit_dir.clone(),
        sync: args.audit_sync,
        rotation: Rotation { bytes: args.audit_file_bytes, age: args.audit_file_age },
        stream_bytes: args.audit_stream_bytes,
        seal: seal(args.audit_key_file.as_deref())?,
        queue: Bounds::default(),
        open_streams: descriptors::streams(),
    };
    Ok(Arc::new(Audit::new(settings, clock, Arc::new(move |tenant, outcome, by| records.add(tenant, outcome, by)))))
}

/// How often merged denials are looked after.
const SWEEP: Duration = Duration::from_secs(5);

/// Serves, and records merged denials as their time comes.
pub async fn sweeping<T>(streams: &Audit, serving: impl Future<Output = T>) -> T {
    let sweep = async {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            streams.sweep();
        }
    };
    tokio::select! {
        ended = serving => ended,
        never = sweep => never,
    }
}

/// `verify`: streams on standard output, faults on standard error as `FILE:LINE: what`; exit status 0, or 2 if there is a fault.
#[must_use]
pub fn verify(args: &VerifyArgs) -> ExitCode {
    let seal = match seal(args.audit_key_file.as_deref()) {
        Ok(seal) => seal,
        Err(fatal) => return crate::fatal::exit(Err(fatal)),
    };
    let report = match verify_streams(&args.paths, &seal, &args.anchor) {
        Ok(report) => report,
        Err(why) => return crate::fatal::exit(Err(Fatal::usage(why.to_string()))),
    };
    for stream in &report.streams {
        let _ = writeln!(std::io::stdout(), "{stream}");
    }
    for fault in &report.faults {
        let _ = writeln!(std::io::stderr(), "{fault}");
    }
    let records: u64 = report.streams.iter().map(|stream| stream.records).sum();
    let _ = writeln!(std::io::stdout(), "{} streams, {records} records, {} faults", report.streams.len(), report.faults.len());
    ExitCode::from(if report.faults.is_empty() { 0 } else { 2 })
}

/// The seal that a key file makes, or the one without a key. The text of an error never holds the key.
fn seal(file: Option<&Path>) -> Result<Seal, Fatal> {
    let Some(file) = file else { return Ok(Seal::Plain) };
    let usage = |why: String| Fatal::usage(format!("--audit-key-file {}: {why}", file.display()));
    if !fs::metadata(file).map_err(|why| usage(why.to_string()))?.is_file() {
        return Err(usage("is not a regular file".to_owned()));
    }
    let mut key = Vec::new();
    let opened = fs::File::open(file).map_err(|why| usage(why.to_string()))?;
    opened.take(LONGEST_KEY as u64 + 1).read_to_end(&mut key).map_err(|why| usage(why.to_string()))?;
    let key = key.trim_ascii();
    if key.len() < KEY_BYTES || key.len() > LONGEST_KEY {
        return Err(usage(format!("must hold {KEY_BYTES} to {LONGEST_KEY} bytes")));
    }
    Ok(Seal::keyed(key))
}

fn sync(text: &str) -> Result<Sync, String> {
    match text {
        "each" => Ok(Sync::Each),
        "batch" => Ok(Sync::Batch),
        "os" => Ok(Sync::Os),
        _ => Err("must be each, batch or os".to_owned()),
    }
}

/// Reads a number of bytes: `65536`, `64K`, `64M`, `4G`.
fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (text.strip_suffix('K'), 10),
        Some(b'M') => (text.strip_suffix('M'), 20),
        Some(b'G') => (text.strip_suffix('G'), 30),
        _ => (Some(text), 0),
    };
    let number = digits.and_then(|digits| digits.parse::<u64>().ok()).and_then(|number| number.checked_mul(1 << shift));
    number.filter(|number| *number >= 1024).ok_or_else(|| "must be a number of bytes, 1K or more: 65536, 64K, 64M or 4G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_their_unit() {
        assert_eq!(bytes("65536"), Ok(65536));
        assert_eq!(bytes("64K"), Ok(65536));
        assert_eq!(bytes("4G"), Ok(4 << 30));
        for wrong in ["", "K", "0", "1023", "-1", "64k", "99999999999G", "1.5M"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_file_that_does_not_do_is_refused_without_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        assert!(seal(Some(&file)).is_err());
        fs::write(&file, "too short\n").unwrap();
        assert!(!seal(Some(&file)).unwrap_err().to_string().contains("too short"));
        fs::write(&file, "0123456789abcdef\n").unwrap();
        assert!(matches!(seal(Some(&file)), Ok(Seal::Keyed(_))));
        assert!(matches!(seal(None), Ok(Seal::Plain)));
    }
}
