//! The only file that names sled, beside its error: opening it, with what it can make anew made anew.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::error::TailError;
use crate::files;

/// An engine, one of its trees, and entries of a tree.
pub(super) type Engine = sled::Db;
pub(super) type Tree = sled::Tree;
pub(super) type Entries = sled::Iter;

/// sled's segment size, fixed when a tail is created.
const ENGINE_SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// sled's page cache. What it holds is written once and read at the next start, so little will do.
const ENGINE_CACHE_BYTES: u64 = 1024 * 1024;

/// sled's settings, the same for every tail, with their checksum: sled writes them once and never syncs them.
const SETTINGS: &str = "conf";
const SETTINGS_BYTES: &[u8] =
    b"segment_size: 4194304\nuse_compression: false\nversion: 0.34\n0\x1bd\xdd";

/// Opens or creates an engine. What sled can make anew, its snapshots and its settings, is made anew when it does not open
/// with them; `is_whole` tells whether it did.
pub(super) fn open(folder: &Path, is_whole: impl Fn(&Engine) -> bool) -> Result<Engine, TailError> {
    remove_snapshots(folder, |name| name.ends_with(".generating"))?;
    let opened = open_engine(folder);
    match opened {
        Ok(engine) if is_whole(&engine) => Ok(engine),
        other => {
            // sled takes a log that it can't read for an empty one.
            let again = remove_snapshots(folder, |name| name.starts_with("snap."))?;
            if !again && settings_hold(folder) {
                return other;
            }
            drop(other);
            write_settings(folder)?;
            open_engine(folder)
        }
    }
}

/// Whether sled's settings are there as it wrote them, or no tail is.
fn settings_hold(folder: &Path) -> bool {
    !folder.join("db").exists()
        || fs::read(folder.join(SETTINGS)).is_ok_and(|found| found == SETTINGS_BYTES)
}

fn write_settings(folder: &Path) -> Result<(), TailError> {
    files::replace(&folder.join(SETTINGS), SETTINGS_BYTES).map_err(TailError::Sync)
}

/// Removes snapshots; whether there were any.
fn remove_snapshots(folder: &Path, which: impl Fn(&str) -> bool) -> Result<bool, TailError> {
    let mut any = false;
    for entry in fs::read_dir(folder).map_err(TailError::Sync)?.flatten() {
        if entry.file_name().to_str().is_some_and(&which) {
            fs::remove_file(entry.path()).map_err(TailError::Sync)?;
            any = true;
        }
    }
    Ok(any)
}

fn open_engine(folder: &Path) -> Result<Engine, TailError> {
    let config = sled::Config::new()
        .path(folder)
        .segment_size(ENGINE_SEGMENT_BYTES)
        .cache_capacity(ENGINE_CACHE_BYTES)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(None);
    guarded(|| Ok(config.open()?))
}

/// Does something with sled; a panic of its is an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, TailError>) -> Result<T, TailError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(TailError::Panicked(text.unwrap_or_default()))
    })
}
