//! A server that is measured: where it listens, and what its process has used.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use boboyka_tests::Sidecar;
use boboyka_tests::process::{Process, free_address, wait_until};

use crate::load::address;

/// Clock ticks a second in `/proc/PID/stat`, on every Linux that runs today.
const TICKS_A_SECOND: f64 = 100.0;
/// A reference that does not listen by then never will.
const START_GUARD: Duration = Duration::from_mins(1);

/// A process that serves the API.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) address: SocketAddr,
    pid: u32,
}

impl Measured {
    pub(crate) fn of(sidecar: &mut Sidecar) -> Self {
        Self {
            address: address(sidecar),
            pid: sidecar.process().pid(),
        }
    }

    /// Seconds of processor time that the process has used.
    pub(crate) fn cpu_seconds(self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        // The name in parentheses may contain anything; the fields begin after it.
        let fields = stat.rsplit_once(')').unwrap().1;
        let field = |at: usize| -> f64 {
            let text = fields.split_whitespace().nth(at).unwrap();
            text.parse().unwrap()
        };
        (field(11) + field(12)) / TICKS_A_SECOND
    }

    /// A number of `/proc/PID/status`, in the unit that it has there.
    pub(crate) fn status(self, name: &str) -> u64 {
        field_of(&format!("/proc/{}/status", self.pid), name)
    }

    /// Bytes that the process had written to a device.
    pub(crate) fn written_bytes(self) -> u64 {
        field_of(&format!("/proc/{}/io", self.pid), "write_bytes:")
    }

    /// The most resident memory that the process ever had, in MiB: the kernel's own mark, so nothing escapes it.
    pub(crate) fn peak_mib(self) -> f64 {
        self.status("VmHWM:") as f64 / 1024.0
    }

    /// Resident memory that is not of a file, such as the program's own, in MiB.
    pub(crate) fn anonymous_mib(self) -> f64 {
        self.status("RssAnon:") as f64 / 1024.0
    }

    /// Resident memory, in MiB.
    pub(crate) fn resident_mib(self) -> f64 {
        self.status("VmRSS:") as f64 / 1024.0
    }
}

fn field_of(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A reference server in a process of its own.
pub(crate) struct Reference {
    _process: Process,
    pub(crate) measured: Measured,
}

impl Reference {
    pub(crate) async fn start(kind: &str, folder: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--serve", kind, "--listen", &address.to_string()])
            .arg("--folder")
            .arg(folder);
        let process = Process::start(&mut command, &folder.join(format!("{kind}.log")));
        wait_until(
            START_GUARD,
            || async move { tokio::net::TcpStream::connect(address).await.is_ok() },
            || format!("the reference did not start: {}", process.log()),
        )
        .await;
        let pid = process.pid();
        Self {
            _process: process,
            measured: Measured { address, pid },
        }
    }
}
