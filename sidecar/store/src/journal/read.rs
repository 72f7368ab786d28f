//! Reading a file of the journal: every frame that holds, also those behind a part that does not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use super::file::{FRAMES_AT, FoundFile, Identity};
use super::frame::{self, FrameHead, HEADER_LEN, Sum};

/// What is read at once, unless a frame is longer.
const WINDOW: usize = 1024 * 1024;
/// What is given up at once when the disk can't read it.
const SECTOR: usize = 4096;
/// The same of frames' alignment, as a step in the file.
const STEP: u64 = frame::ALIGN as u64;

/// A frame that holds.
pub(crate) struct FoundFrame<'a> {
    pub(crate) head: FrameHead,
    pub(crate) sum: Sum,
    pub(crate) body: &'a [u8],
    /// Where it ends in the file, with the zeros behind it.
    pub(crate) end: u64,
}

/// Calls `take` for every frame of the file that holds, in order. `strand` identifies the frames of a file whose
/// header is lost. The life that the file's frames are of.
///
/// # Errors
/// When the file can't be opened; a part that can't be read holds no frame.
pub(crate) fn scan(
    found: &FoundFile,
    strand: Option<Uuid>,
    mut take: impl FnMut(FoundFrame<'_>),
) -> io::Result<Option<Identity>> {
    let mut window = Window::open(found)?;
    let identity = found
        .identity
        .or_else(|| strand.and_then(|strand| newest_life(&mut window, strand)));
    let Some(identity) = identity else {
        return Ok(None);
    };
    let key = identity.key();
    let mut at = FRAMES_AT;
    while let Some(header) = window.get(at, HEADER_LEN) {
        let Some((head, body_len)) = frame::read_head(header, &key) else {
            at += STEP;
            continue;
        };
        let len = frame::frame_len(body_len as usize);
        let body = window
            .get(at, len)
            .and_then(|bytes| frame::read_body(bytes, body_len, &key));
        if let Some((body, sum)) = body {
            let end = at + len as u64;
            take(FoundFrame {
                head,
                sum,
                body,
                end,
            });
        }
        at += len as u64;
    }
    Ok(Some(identity))
}

/// The newest life that a frame of a file without a header names.
fn newest_life(window: &mut Window, strand: Uuid) -> Option<Identity> {
    let (mut at, mut newest) = (FRAMES_AT, None::<Identity>);
    while let Some(header) = window.get(at, HEADER_LEN) {
        at += STEP;
        let Some((head, _)) = frame::unchecked_head(header) else {
            continue;
        };
        let life = Identity {
            strand,
            generation: head.generation,
            nonce: head.nonce,
        };
        if newest.is_none_or(|newest| newest.generation < life.generation)
            && frame::read_head(header, &life.key()).is_some()
        {
            newest = Some(life);
        }
    }
    newest
}

/// A part of a file in memory.
struct Window {
    file: File,
    len: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn open(found: &FoundFile) -> io::Result<Self> {
        Ok(Self {
            file: File::open(&found.path)?,
            len: found.len,
            at: 0,
            bytes: Vec::new(),
        })
    }

    /// `len` bytes at `at`; `None` beyond the end.
    fn get(&mut self, at: u64, len: usize) -> Option<&[u8]> {
        let end = at.checked_add(len as u64).filter(|end| *end <= self.len)?;
        if at < self.at || end > self.at + self.bytes.len() as u64 {
            self.fill(at, len.max(WINDOW));
        }
        let from = usize::try_from(at - self.at).ok()?;
        self.bytes.get(from..from + len)
    }

    fn fill(&mut self, at: u64, len: usize) {
        let left = usize::try_from(self.len - at).unwrap_or(usize::MAX);
        self.at = at;
        self.bytes.clear();
        self.bytes.resize(len.min(left), 0);
        if self.file.read_exact_at(&mut self.bytes, at).is_ok() {
            return;
        }
        for (nth, sector) in (0..).zip(self.bytes.chunks_mut(SECTOR)) {
            let place = at + nth * SECTOR as u64;
            if self.file.read_exact_at(sector, place).is_err() {
                sector.fill(0);
            }
        }
    }
}
