//! Child processes that end with the test, free ports, and waiting with a limit.

use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self as unix, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: long enough for a machine that is ten times slower than ours.
/// No test waits this long unless it fails.
pub const GUARD: Duration = Duration::from_mins(5);

/// A child process, killed when it is dropped, its output in a file.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Length of the log before it started.
    log_before: u64,
}

impl Process {
    /// Starts a command; its output is added to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let log_before = file.metadata().unwrap().len();
        let errors = file.try_clone().unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
        Self {
            child,
            log: log.to_owned(),
            log_before,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether this process has printed a text; what others printed into the same log does not count.
    pub fn has_printed(&self, text: &str) -> bool {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let own = usize::try_from(self.log_before)
            .ok()
            .and_then(|at| log.get(at..));
        own.is_some_and(|own| String::from_utf8_lossy(own).contains(text))
    }

    /// What it and the processes before it have printed into its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success(), "could not send {name}");
    }

    /// Waits for its end; whether it ended well.
    pub fn wait(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(
                begun.elapsed() < limit,
                "the process did not end:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it has ended already.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal by its name.
pub fn signal(pid: &str, name: &str) {
    let sent = Command::new("kill").args(["-s", name, pid]).status();
    assert!(sent.unwrap().success(), "could not send {name}");
}

/// What a sidecar prints once it listens. Another process may answer at an address that a sidecar could not get, so
/// an answer alone does not tell that it is there.
pub const GREETING: &str = "Boboyka sidecar on http://";

/// An address on this machine that nobody listens on, and that no other test draws as long as this process lives: what
/// answers there is what this process has started. Its port is below those that the kernel gives to outgoing connections, so
/// that none of these takes it while a test restarts what listens there.
pub fn free_address() -> SocketAddr {
    static DRAWN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_000)));
        if let Ok(sign) = draw(address.port())
            && TcpListener::bind(address).is_ok()
        {
            DRAWN.lock().unwrap().push(sign);
            return address;
        }
    }
}

/// The sign that a port is drawn: a socket with a name, which the kernel removes when the process ends. The tests of the Python
/// client draw by the same names.
fn draw(port: u16) -> std::io::Result<UnixListener> {
    let name = unix::SocketAddr::from_abstract_name(format!("boboyka-port-{port}"))?;
    UnixListener::bind_addr(&name)
}

/// What something comes to that should end by itself.
///
/// # Panics
/// It has not ended after [`GUARD`].
pub async fn ends<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(GUARD, wait).await;
    ended.unwrap_or_else(|_| panic!("{what}: no end after {GUARD:?}"))
}

/// Asks again until `ready`, at most for `limit`; then panics with what `explain` says.
pub async fn wait_until<F: Future<Output = bool>>(
    limit: Duration,
    mut ready: impl FnMut() -> F,
    explain: impl FnOnce() -> String,
) {
    let begun = Instant::now();
    while !ready().await {
        assert!(begun.elapsed() < limit, "{}", explain());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}
