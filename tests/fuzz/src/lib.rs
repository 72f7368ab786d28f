//! The fuzz targets: everything that reads bytes which somebody else wrote, or a disk. `fuzz/` runs them under cargo-fuzz,
//! `tests/short.rs` for some seconds each.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a target that panics has found something"
)]

mod seeds;
mod tlog_seeds;

use std::path::Path;
use std::sync::OnceLock;

use boboyka_sidecar::fuzzing as api;
use boboyka_store::fuzzing as store;
use boboyka_tlog::fuzzing as tlog;
use tempfile::TempDir;

/// A reader, and bytes that it takes.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is that of its file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 20] = [
    Target {
        name: "ingest",
        run: api::ingest,
        seeds: seeds::ingest,
    },
    Target {
        name: "array",
        run: api::array,
        seeds: seeds::array,
    },
    Target {
        name: "lines",
        run: api::lines,
        seeds: seeds::lines,
    },
    Target {
        name: "cursor",
        run: api::cursor,
        seeds: seeds::cursor,
    },
    Target {
        name: "reply",
        run: boboyka_mirror::fuzzing::reply,
        seeds: seeds::reply,
    },
    Target {
        name: "run",
        run: store::run,
        seeds: seeds::run,
    },
    Target {
        name: "tail_run",
        run: store::tail_run,
        seeds: seeds::tail_run,
    },
    Target {
        name: "frame",
        run: store::frame,
        seeds: seeds::frame,
    },
    Target {
        name: "journal_header",
        run: store::journal_header,
        seeds: seeds::journal_header,
    },
    Target {
        name: "ledger",
        run: store::ledger,
        seeds: seeds::ledger,
    },
    Target {
        name: "stored",
        run: store::stored,
        seeds: seeds::stored,
    },
    Target {
        name: "segment",
        run: segment,
        seeds: seeds::segment,
    },
    Target {
        name: "footer",
        run: store::footer,
        seeds: seeds::footer,
    },
    Target {
        name: "version_file",
        run: version_file,
        seeds: seeds::version_file,
    },
    Target {
        name: "note",
        run: tlog::note,
        seeds: tlog_seeds::note,
    },
    Target {
        name: "bundle",
        run: tlog::bundle,
        seeds: tlog_seeds::bundle,
    },
    Target {
        name: "add_checkpoint",
        run: tlog::add_checkpoint,
        seeds: tlog_seeds::add_checkpoint,
    },
    Target {
        name: "policy",
        run: tlog::policy,
        seeds: tlog_seeds::policy,
    },
    Target {
        name: "key",
        run: tlog::key,
        seeds: tlog_seeds::key_text,
    },
    Target {
        name: "path",
        run: tlog::path,
        seeds: tlog_seeds::path,
    },
];

/// Runs the target of a name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap().run)(bytes);
}

fn segment(bytes: &[u8]) {
    in_a_file("seg", |path| store::segment(path, bytes).unwrap());
}

fn version_file(bytes: &[u8]) {
    in_a_file("ver", |path| store::version_file(path, bytes).unwrap());
}

/// Runs with the path of a file that this thread alone writes.
fn in_a_file(end: &str, run: impl FnOnce(&Path)) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let name = format!("{:?}.{end}", std::thread::current().id());
    run(&folder.path().join(name));
}
