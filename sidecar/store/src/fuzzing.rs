//! Readers of the disk's bytes, for the fuzz targets: each takes any bytes and must neither panic nor ask for memory that
//! the bytes do not pay for.

#![allow(
    clippy::missing_panics_doc,
    reason = "a target that panics has found something"
)]

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use boboyka_strand::{Block, Hash, Head, RecordType, run};
use uuid::Uuid;

use crate::change::Change;
use crate::journal::Identity;
use crate::journal::entry::{self, Entry};
use crate::journal::frame::{self, Encoder, FrameHead, Key};
use crate::ledger::Page;
use crate::segment::{Footer, Segment};
use crate::stored::Stored as _;
use crate::tail_run;
use crate::versions::{self, KeyHash, Range, Source, VersionFile, newest_of, write_file};

const KEY: Key = [7; 32];

/// A run, as the tail and the segments hold it: what decodes has consecutive blocks.
pub fn run(bytes: &[u8]) {
    if let Ok(blocks) = run::decode(bytes) {
        let linked = blocks.windows(2).all(|pair| match pair {
            [a, b] => b.header.parent_hash == a.hash && b.header.seq == a.header.seq + 1,
            _ => true,
        });
        assert!(linked, "the run decodes and does not hold");
    }
}

/// A compressed run with its keys, as the tail holds it.
pub fn tail_run(bytes: &[u8]) {
    if let Ok(unpacked) = tail_run::unpack(bytes) {
        run(&unpacked.run);
    }
}

/// A compressed run of a strand's first blocks.
pub fn pack(blocks: &[Block]) -> Vec<u8> {
    tail_run::pack(&Head::EMPTY, blocks, &[])
}

/// A segment's file; `path` is where it may be written.
///
/// # Errors
/// It can't be written.
pub fn segment(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::File::create(path)?.write_all(bytes)?;
    let Ok(segment) = Segment::discover(path) else {
        return Ok(());
    };
    if let Ok(open) = segment.open() {
        for frame in open.frames() {
            // Damage is an answer; only a panic is none.
            drop(open.read(frame));
        }
    }
    drop(segment.read_bloom());
    drop(segment.seqs_like(&segment.meta.head.hash));
    let mut walk_on = |_, _: &[Block]| ControlFlow::Continue(());
    drop(segment.verify(segment.meta.before, &mut walk_on));
    Ok(())
}

/// A version file of the strand without an id; `path` is where it may be written. What opens is read in any order.
///
/// # Errors
/// It can't be written.
pub fn version_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::File::create(path)?.write_all(bytes)?;
    let Ok(file) = VersionFile::open(path, Uuid::nil()) else {
        return Ok(());
    };
    let file = Arc::new(file);
    let mut source = Source::of_file(&file);
    for bits in bytes.iter().copied().map(u64::from) {
        let key = KeyHash::new(bits << 56);
        drop(newest_of(&file, key, bits, 3));
        if source.seek(versions::Entry::first_of(key)).is_ok()
            && let Some(entry) = source.peek()
        {
            assert!(entry >= versions::Entry::first_of(key));
        }
    }
    Ok(())
}

/// A whole version file of this number of records.
///
/// # Errors
/// It can't be written.
pub fn version_file_of(folder: &Path, records: u64) -> std::io::Result<Vec<u8>> {
    let entry = |seq| {
        versions::Entry::new(
            KeyHash::of(RecordType::AgentHealth, &format!("{}", seq % 7)),
            seq,
        )
    };
    let range = Range {
        first: 1,
        last: records,
        last_hash: Hash::ZERO,
    };
    let file = write_file(
        folder,
        Uuid::nil(),
        range,
        (1..=records).map(entry).collect(),
    )?;
    std::fs::read(file.path())
}

/// A frame of the journal: its header, and what its body holds, whether or not the checksums hold.
pub fn frame(bytes: &[u8]) {
    if let Some((_, body_len)) = frame::read_head(bytes, &KEY)
        && let Some((body, _)) = frame::read_body(bytes, body_len, &KEY)
    {
        entries(body);
    }
    if let Some((head, _)) = frame::unchecked_head(bytes) {
        assert!(head.before.len() == frame::Sum::default().len());
    }
    entries(bytes.get(frame::HEADER_LEN..).unwrap_or_default());
}

/// A whole frame around a body.
pub fn frame_of(body: &[u8]) -> Vec<u8> {
    let head = FrameHead {
        generation: 1,
        nonce: 2,
        number: 3,
        first: 1,
        last: 1,
        carry: false,
        before: frame::Sum::default(),
    };
    let mut bytes = Vec::new();
    let len = u32::try_from(body.len()).unwrap_or_default();
    let mut encoder = Encoder::begin(&KEY, &head, len, &mut bytes);
    bytes.extend_from_slice(body);
    encoder.take(&bytes);
    bytes.extend_from_slice(&encoder.end());
    bytes.resize(frame::frame_len(body.len()), 0);
    bytes
}

fn entries(body: &[u8]) {
    let Ok(entries) = entry::read(body) else {
        return;
    };
    for one in entries {
        match one {
            Entry::Run(run) => tail_run(&run.bytes),
            Entry::Change(change) => {
                let mut again = Vec::new();
                assert!(change.put(&mut again).is_ok());
                let read = entry::read(&again);
                let same = read.is_ok_and(
                    |read| matches!(read.as_slice(), [Entry::Change(read)] if *read == change),
                );
                assert!(same, "{change:?} is written as {again:?}");
            }
        }
    }
}

/// A segment's footer, and an entry of the catalogue: what is read is written and read the same again.
pub fn footer(bytes: &[u8]) {
    drop(Segment::from_bytes(bytes));
    if let Ok(footer) = Footer::from_bytes(bytes) {
        let again = footer.to_bytes().map(|bytes| Footer::from_bytes(&bytes));
        assert!(again.is_ok_and(|again| again.is_ok_and(|again| again == footer)));
    }
}

/// The header of a file of the journal.
pub fn journal_header(bytes: &[u8]) {
    let _ = Identity::read(bytes);
}

/// A page of the ledger.
pub fn ledger(bytes: &[u8]) {
    if let Some((_, page)) = Page::decode(bytes) {
        let _ = page.summary();
    }
}

/// The value of an entry, whatever its tag.
pub fn stored(bytes: &[u8]) {
    for tag in 0..=u8::MAX {
        drop(Change::read(tag, bytes));
    }
}
