//! Processor time of processes, as Linux counts it.

use std::fs;

/// Processor time of all threads of a process so far, in microseconds: `/proc/PID/task/*/schedstat`, which counts nanoseconds where
/// `/proc/PID/stat` counts hundredths of a second. What threads that have ended used is not in it: none of ours ends while it is measured.
pub(crate) fn used_us(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("Linux tells of processes");
    let nanoseconds = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(nanoseconds).sum::<f64>() / 1e3
}
