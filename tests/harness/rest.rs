//! What a process may take while nobody asks it for anything.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a process at rest may take in a window of time.
pub struct Rest {
    /// How long it is watched.
    pub window: Duration,
    /// Ticks of a hundredth of a second.
    pub ticks: u64,
    /// Times that a thread began to wait.
    pub wakes: u64,
}

impl Rest {
    /// Watches a process that nobody talks to: it comes to rest, however long a slow machine needs for what was asked
    /// before. `tell` says what is watched, and adds its log.
    ///
    /// # Panics
    /// When it is not at rest within `guard`, or ends.
    pub async fn comes(&self, pid: u32, guard: Duration, tell: impl Fn() -> String) {
        let begun = Instant::now();
        loop {
            let before = Taken::by(pid);
            tokio::time::sleep(self.window).await;
            let (ticks, wakes) = Taken::by(pid).since(&before);
            if ticks <= self.ticks && wakes <= self.wakes {
                return;
            }
            let window = self.window;
            assert!(
                begun.elapsed() < guard,
                "still {ticks} ticks and {wakes} wakes in {window:?}: {}",
                tell()
            );
        }
    }
}

/// What a process took so far.
struct Taken {
    ticks: u64,
    /// Times that each of its threads began to wait, by the thread's id.
    wakes: HashMap<OsString, u64>,
}

impl Taken {
    fn by(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let wakes = threads.filter_map(|thread| {
            let thread = thread.unwrap();
            Some((thread.file_name(), wakes_of(&thread.path())?))
        });
        Self {
            ticks,
            wakes: wakes.collect(),
        }
    }

    /// Ticks and wakes since then. A thread that ended in between woke at least for that.
    fn since(&self, before: &Self) -> (u64, u64) {
        let gone = before
            .wakes
            .keys()
            .filter(|id| !self.wakes.contains_key(*id));
        let woke = self
            .wakes
            .iter()
            .map(|(id, wakes)| wakes - before.wakes.get(id).unwrap_or(&0));
        (
            self.ticks - before.ticks,
            woke.sum::<u64>() + gone.count() as u64,
        )
    }
}

/// How often a thread began to wait; `None` for one that has ended, or that does not count.
fn wakes_of(thread: &Path) -> Option<u64> {
    let name = fs::read_to_string(thread.join("comm")).ok()?;
    // The pool of the store's engine looks once a second whether its threads have work.
    if name.starts_with("sled-io") {
        return None;
    }
    let status = fs::read_to_string(thread.join("status")).ok()?;
    let line = status
        .lines()
        .find(|line| line.starts_with("voluntary_ctxt_switches"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
