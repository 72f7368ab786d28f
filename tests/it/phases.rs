//! The migration's phases, forward and back, against a real Supabase: its tables hold what the strand
//! recorded while the phase mirrored, row by row and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use boboyka_crds::Phase;
use boboyka_sidecar::integration::Integration;
use boboyka_strand::{RecordType, Seq};
use boboyka_tests::Supabase;
use boboyka_tests::process::ends;
use tokio::task::JoinHandle;

use crate::inside::{Inside, append, record, rows};

/// Writers that go on until they are told to end.
struct Load {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(inside: &Inside, writers: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let writers = (0..writers).map(|writer| {
            let (store, stop) = (inside.store.clone(), Arc::clone(&stop));
            let written = Arc::clone(&written);
            tokio::spawn(async move {
                let mut n = writer;
                while !stop.load(Ordering::Relaxed) {
                    let records = (n..n + 4).map(|n| record(n, "")).collect();
                    written.fetch_add(4, Ordering::Relaxed);
                    append(&store, records).await;
                    n += 4;
                }
            })
        });
        Self {
            writers: writers.collect(),
            stop,
            written,
        }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            writer.await.unwrap();
        }
        self.written.load(Ordering::Relaxed)
    }
}

/// Every table holds exactly the strand's records up to a seq.
fn agree(inside: &Inside, supabase: &Supabase, until: Seq) {
    for record_type in RecordType::MIRRORED {
        let (there, here) = (
            rows(supabase, record_type),
            inside.hashes(record_type, until),
        );
        let (missing, foreign) = (here.difference(&there), there.difference(&here));
        let (missing, foreign) = (missing.count(), foreign.count());
        assert_eq!((missing, foreign), (0, 0), "{record_type} up to {until}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forward_and_back_under_load_supabase_holds_exactly_what_the_phases_mirrored() {
    let supabase = Supabase::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut inside = Inside::start(folder.path(), &supabase, Integration::standalone()).await;
    let mut written = 0;
    for round in 0..3 {
        let load = Load::on(&inside, 8);
        inside.passes(inside.store.view().head.seq + 200).await;
        let until = inside.enter(Phase::MigrateInternals, 3 * round + 1).await;
        let until = until.unwrap();
        inside.passes(until + 50).await;
        written += load.end().await;
        inside.drains().await;
        agree(&inside, &supabase, until);
        // A restart in the middle changes nothing.
        inside.stop().await;
        inside = Inside::start(folder.path(), &supabase, Integration::unknown()).await;
        assert_eq!(
            inside.enter(Phase::CutOver, 3 * round + 2).await,
            Some(until)
        );
        let load = Load::on(&inside, 2);
        inside.passes(inside.store.view().head.seq + 50).await;
        agree(&inside, &supabase, until);

        assert_eq!(inside.enter(Phase::DualWrite, 3 * round + 3).await, None);
        written += load.end().await;
        inside.drains().await;
        let head = inside.store.view().head.seq;
        agree(&inside, &supabase, head);
    }
    let changes = 9;
    assert_eq!(inside.store.view().head.seq, written + changes);
    let recorded = supabase.sql(
        "select string_agg(payload->'metadata'->>'to', ' ' order by seq) from agent_audit_log \
         where payload->>'event' = 'phase_changed'",
    );
    assert_eq!(
        recorded,
        ["MigrateInternals CutOver DualWrite"; 3].join(" ")
    );
    inside.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boundary_drains_after_an_outage_and_what_came_before_it_is_all_there() {
    let mut supabase = Supabase::start().await;
    let folder = tempfile::tempdir().unwrap();
    let inside = Inside::start(folder.path(), &supabase, Integration::standalone()).await;
    append(&inside.store, (0..40).map(|n| record(n, "")).collect()).await;
    inside.drains().await;
    supabase.stop_postgres();
    append(&inside.store, (0..400).map(|n| record(n, "")).collect()).await;
    inside
        .integration
        .send_modify(|integration| integration.transition = Some(5));
    let mut boundary = inside.boundary.clone();
    let fixed = ends("fixing the boundary", boundary.wait_for(Option::is_some)).await;
    let fixed = fixed.unwrap().unwrap();
    assert_eq!((fixed.seq, fixed.drained), (440, false));
    append(&inside.store, (0..40).map(|n| record(n, "")).collect()).await;
    supabase.start_postgres();
    let drained = boundary.wait_for(|shown| shown.is_some_and(|boundary| boundary.drained));
    ends("the backlog", drained).await.unwrap();
    for record_type in RecordType::MIRRORED {
        let (there, before) = (
            rows(&supabase, record_type),
            inside.hashes(record_type, 440),
        );
        assert!(before.is_subset(&there), "{record_type}");
    }
    inside.stop().await;
}
