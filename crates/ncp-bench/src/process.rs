//! What the system says of a process: CPU time and memory (proc(5)).

use core::time::Duration;
use std::fs;

use crate::trouble::Trouble;

/// Ticks of a second in `/proc`: `USER_HZ`, 100 on every architecture that Rust's Linux targets share with this project.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time and memory of a process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on a CPU, in user and system mode, of all threads that it ever had.
    pub(crate) cpu: Duration,
    /// Resident memory, in KiB.
    pub(crate) resident: u64,
    /// Most resident memory since the process began or [`forget_peak`] was called, in KiB.
    pub(crate) peak: u64,
}

/// Looks at a process.
///
/// # Errors
/// If it does not run any more.
pub(crate) fn usage(pid: u32) -> Result<Usage, Trouble> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).map_err(|error| Trouble::network(format_args!("{path}: {error}")))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    let unreadable = || Trouble::system("reading /proc", format_args!("no CPU time or memory of process {pid}"));
    let cpu = cpu_time(&stat).ok_or_else(unreadable)?;
    let memory = |name| kibibytes(&status, name).ok_or_else(unreadable);
    Ok(Usage { cpu, resident: memory("VmRSS")?, peak: memory("VmHWM")? })
}

/// Has the peak of a process counted from now on. A system that does not do this keeps the peak of its whole life, which is
/// never smaller.
pub(crate) fn forget_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// User and system time in `/proc/<pid>/stat`. The name in parentheses may hold anything, so fields are counted behind it.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * (1_000 / TICKS_PER_SECOND)))
}

/// A line of `/proc/<pid>/status` that counts KiB.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_stands_behind_any_name() {
        let tail = "S 1 2 2 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 9 0 12345 1000 200";
        for name in ["ncp-relay", "a b", "x) S 1 (y"] {
            assert_eq!(cpu_time(&format!("42 ({name}) {tail}")), Some(Duration::from_millis(1_750)), "{name}");
        }
        for bad in ["", "42 (x) S 1 2", "42 x S"] {
            assert_eq!(cpu_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn memory_is_the_named_line() {
        let status = "Name:\tVmRSS\nVmHWM:\t   61440 kB\nVmRSS:\t   51200 kB\nThreads:\t9\n";
        assert_eq!(kibibytes(status, "VmRSS"), Some(51_200));
        assert_eq!(kibibytes(status, "VmHWM"), Some(61_440));
        assert_eq!(kibibytes(status, "Threads"), None);
        assert_eq!(kibibytes(status, "VmSwap"), None);
    }

    #[test]
    fn the_own_process_has_memory() {
        let usage = usage(std::process::id()).expect("it runs");
        assert!(usage.resident > 0 && usage.peak >= usage.resident, "{usage:?}");
    }
}
