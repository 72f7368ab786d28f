//! The sidecar's memory while somebody has the panel open and a thousand records a second come in, against its bound.

use std::time::Duration;

use boboyka_tests::{Sidecar, client};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::ingest::IDLE;
use crate::load::{Load, address};
use crate::measured::Measured;

const RECORDS_PER_SECOND: u32 = 1_000;
const CONNECTIONS: usize = 16;
/// Long enough that the tail is sealed several times, which is every sixteen seconds.
const TIME: Duration = Duration::from_mins(2);
/// What the sidecar may take.
const BOUND_MIB: f64 = 24.0;

/// Prints the memory without and with a panel.
pub(crate) async fn measure() {
    let without = Run::of(false).await;
    let with = Run::of(true).await;
    println!("without a panel: {without}");
    println!("with a panel open: {with}");
    let verdict = if with.peak <= BOUND_MIB {
        "holds"
    } else {
        "MISSED"
    };
    println!(
        "    peak with a panel {:.1} MiB, bound {BOUND_MIB:.0} MiB: {verdict}",
        with.peak
    );
}

/// What one run showed.
struct Run {
    rate: f64,
    idle: f64,
    median: f64,
    peak: f64,
    /// The most that is not of the program's file.
    anonymous: f64,
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            rate,
            idle,
            median,
            peak,
            anonymous,
        } = self;
        write!(
            f,
            "{rate:.0} records/s; resident {idle:.1} MiB idle, {median:.1} MiB median, {peak:.1} MiB peak; without the program's \
             file at most {anonymous:.1} MiB"
        )
    }
}

impl Run {
    async fn of(with_panel: bool) -> Self {
        let mut sidecar = Sidecar::start().await;
        let server = Measured::of(&mut sidecar);
        sleep(IDLE).await;
        let idle = server.resident_mib();
        let mut panel = JoinSet::new();
        if with_panel {
            open(&sidecar, &mut panel).await;
        }
        let (mut seen, mut anonymous) = (Vec::new(), 0f64);
        let mut look = interval(Duration::from_millis(200));
        let load = Load::single(CONNECTIONS).paced(RECORDS_PER_SECOND);
        let mut run = std::pin::pin!(load.run(address(&sidecar), TIME));
        let sample = loop {
            tokio::select! {
                sample = &mut run => break sample,
                _ = look.tick() => {
                    seen.push(server.resident_mib());
                    anonymous = anonymous.max(server.anonymous_mib());
                }
                Some(ended) = panel.join_next() => panic!("the panel's client ended: {ended:?}"),
            }
        };
        seen.sort_by(f64::total_cmp);
        Self {
            rate: sample.rate,
            idle,
            median: seen[seen.len() / 2],
            peak: server.peak_mib(),
            anonymous,
        }
    }
}

/// Does what the page does while it is in sight: its files, the newest page of records, the stream with their data, and how
/// the sidecar is, every now and then.
async fn open(sidecar: &Sidecar, panel: &mut JoinSet<()>) {
    let page = get(sidecar.url("/")).await;
    for part in page.split('"').filter(|part| part.starts_with("/panel/")) {
        get(sidecar.url(part)).await;
    }
    get(sidecar.url("/v1/boboyka/record-types")).await;
    get(sidecar.url("/v1/boboyka/events?limit=200&include=data")).await;
    follow(
        sidecar.url("/v1/boboyka/stream?after=0&include=data"),
        panel,
    );
    for (path, every) in [("status", 2), ("last-hour", 10)] {
        let url = sidecar.url(&format!("/v1/boboyka/{path}"));
        repeat(url, Duration::from_secs(every), panel);
    }
}

fn follow(url: String, panel: &mut JoinSet<()>) -> AbortHandle {
    panel.spawn(async move {
        let mut stream = client().get(url).send().await.unwrap();
        while stream.chunk().await.unwrap().is_some() {}
    })
}

fn repeat(url: String, every: Duration, panel: &mut JoinSet<()>) -> AbortHandle {
    let mut every = interval(every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    panel.spawn(async move {
        loop {
            every.tick().await;
            get(url.clone()).await;
        }
    })
}

async fn get(url: String) -> String {
    let answer = client().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.text().await.unwrap()
}
