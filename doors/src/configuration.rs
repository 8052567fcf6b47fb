//! The configuration folder at a service's start: follow it, validate it, report on it. The same for both services.

use std::{io::Write, path::Path, process::ExitCode, sync::Arc};

use bulkhead_tenancy::{
    catalog::State,
    clock::SystemClock,
    loader::{self, Loader, Report},
};

use crate::{
    admin::{SnapshotReport, TenantReport},
    fatal::Fatal,
};

/// Reads the folder, publishes the first snapshot and follows what changes.
///
/// # Errors
/// Usage (status 2), before anything is bound: the Platform is missing or invalid. Whatever else is wrong closes the tenants it touches.
pub fn follow(config: &Path) -> Result<Loader, Fatal> {
    loader::start(config, Arc::new(SystemClock)).map_err(|why| Fatal::usage(format!("--config: {why}")))
}

/// `validate`: errors on standard output, warnings on standard error, one line each; exit status 0, or 2 if there is an error.
#[must_use]
pub fn validate(config: &Path) -> ExitCode {
    let validation = match loader::validate(config) {
        Ok(validation) => validation,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {why}");
            return ExitCode::from(2);
        }
    };
    for line in validation.warning_lines() {
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    let _ = write!(std::io::stdout(), "{validation}");
    ExitCode::from(validation.exit_status())
}

impl From<Report> for SnapshotReport {
    fn from(report: Report) -> Self {
        let tenants = report.tenants.into_iter().map(|tenant| TenantReport {
            tenant: tenant.tenant.to_string(),
            state: match tenant.state {
                State::Ready => "ready",
                State::LastGood => "last_good",
                State::Closed => "unavailable",
            }
            .to_owned(),
            last_error: tenant.last_error,
            age_seconds: tenant.age_seconds,
        });
        Self { generation: Some(report.generation), tenants: tenants.collect() }
    }
}
