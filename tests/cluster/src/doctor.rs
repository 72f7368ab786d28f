//! Checks in a second whether this machine can run a cluster, and lists what is missing. That is an error, never a skip.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// Memory that a cluster of two nodes and its pods take.
const MEMORY_KIB: u64 = 2 * 1024 * 1024;
/// Disk that images and volumes take.
const DISK_BYTES: u64 = 3 * 1024 * 1024 * 1024;
/// The capabilities that nodes need, by their bits.
const CAPABILITIES: [(u32, &str); 4] = [
    (12, "CAP_NET_ADMIN"),
    (18, "CAP_SYS_CHROOT"),
    (19, "CAP_SYS_PTRACE"),
    (21, "CAP_SYS_ADMIN"),
];

/// What is missing for nodes, one sentence each.
pub fn lacks_for_nodes() -> Vec<String> {
    let mut lacks = lacks_for_api();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    if field("Uid:").split_whitespace().nth(1) != Some("0") {
        lacks.push("nodes need root: run as root".to_owned());
    }
    let held = u64::from_str_radix(&field("CapEff:"), 16).unwrap_or(0);
    for (bit, name) in CAPABILITIES {
        if held & (1 << bit) == 0 {
            lacks.push(format!(
                "the capability {name} is missing: start the container or session with it"
            ));
        }
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !filesystems
        .lines()
        .any(|line| line.trim().ends_with("overlay"))
    {
        lacks.push("the kernel has no overlay filesystem: load the module overlay".to_owned());
    }
    if cgroup_mounts().is_empty() {
        lacks.push("no cgroup hierarchy is mounted under /sys/fs/cgroup".to_owned());
    }
    if !runs("ip", &["-V"]) {
        lacks.push("the program ip is missing: install iproute2".to_owned());
    }
    lacks
}

/// What is missing for a control plane alone, one sentence each.
pub fn lacks_for_api() -> Vec<String> {
    let mut lacks = Vec::new();
    for program in ["nsenter", "unshare", "setsid"] {
        if !runs(program, &["--version"]) {
            lacks.push(format!(
                "the program {program} is missing: install util-linux"
            ));
        }
    }
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    if available < MEMORY_KIB {
        lacks.push(format!(
            "{} MiB of memory are free, {} are needed",
            available / 1024,
            MEMORY_KIB / 1024
        ));
    }
    let folder = std::env::temp_dir();
    match rustix::fs::statvfs(&folder) {
        Ok(disk) if disk.f_bavail * disk.f_frsize >= DISK_BYTES => {}
        Ok(disk) => lacks.push(format!(
            "{} MiB are free in {}, {} are needed",
            disk.f_bavail * disk.f_frsize / 1024 / 1024,
            folder.display(),
            DISK_BYTES / 1024 / 1024
        )),
        Err(error) => lacks.push(format!("{}: {error}", folder.display())),
    }
    lacks
}

/// Fails with everything that is missing.
pub fn check(lacks: &[String]) -> Result<()> {
    if !lacks.is_empty() {
        bail!(
            "this machine can't run the cluster:\n  {}",
            lacks.join("\n  ")
        );
    }
    Ok(())
}

/// Where cgroup hierarchies are mounted, of either version.
pub(crate) fn cgroup_mounts() -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let words = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    words
        .filter_map(|words| match words.as_slice() {
            [_, place, "cgroup" | "cgroup2", ..] => Some((*place).to_owned()),
            _ => None,
        })
        .filter(|place| Path::new(place).starts_with("/sys/fs/cgroup"))
        .collect()
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
