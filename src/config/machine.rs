//! What the machine has.

use std::fs;

/// Assumed where the system does not tell.
const ASSUMED_BYTES: u64 = 2 << 30;

/// Memory in bytes: of the control group that the process runs in, where that is less than the machine's.
pub(super) fn memory_bytes() -> u64 {
    let read = |path| fs::read_to_string(path).ok();
    // cgroup v2 and v1. A process in a container sees its own group at the root.
    let group = read("/sys/fs/cgroup/memory.max").or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let group = group.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
    let machine = read("/proc/meminfo").and_then(|text| total(&text)).unwrap_or(ASSUMED_BYTES);
    machine.min(group)
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read() {
        assert_eq!(total("MemTotal:       24016112 kB\nMemFree:  1 kB\n"), Some(24_016_112 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert_eq!(total("MemTotal: lots"), None);
        assert!(memory_bytes() > 0);
    }
}
