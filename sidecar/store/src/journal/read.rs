//! Reading a file of the journal: every frame that holds, also those behind a part that does not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use uuid::Uuid;

use super::file::{FRAMES_AT, FoundFile, Identity};
use super::frame::{self, FrameHead, HEADER_LEN, Key, Sum};
use crate::files::forget_cached;

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
    let mut frames = Frames {
        key: identity.key(),
        at: FRAMES_AT,
        window,
    };
    while !frames.is_at_end() {
        frames.take_up_to(u64::MAX, &mut take);
    }
    Ok(Some(identity))
}

/// A file of the journal that is read piece by piece, from the disk.
pub(crate) struct Frames {
    window: Window,
    key: Key,
    at: u64,
}

impl Frames {
    /// Begins to read a file; `None` when it has no header that holds.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub(crate) fn open(found: &FoundFile) -> io::Result<Option<Self>> {
        let Some(identity) = found.identity else {
            return Ok(None);
        };
        let mut window = Window::open(found)?;
        window.past_cache = true;
        Ok(Some(Self {
            key: identity.key(),
            at: FRAMES_AT,
            window,
        }))
    }

    /// Where the next frame may begin, in bytes.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at + HEADER_LEN as u64 > self.window.len
    }

    /// Calls `take` for every frame that holds and begins before `end`, in order.
    pub(crate) fn take_up_to(&mut self, end: u64, mut take: impl FnMut(FoundFrame<'_>)) {
        while self.at < end
            && let Some(header) = self.window.get(self.at, HEADER_LEN)
        {
            let Some((head, body_len)) = frame::read_head(header, &self.key) else {
                self.at += STEP;
                continue;
            };
            let len = frame::frame_len(body_len as usize);
            let end = self.at + len as u64;
            let frame = self.window.get(self.at, len);
            let body = frame.and_then(|bytes| frame::read_body(bytes, body_len, &self.key));
            if let Some((body, sum)) = body {
                take(FoundFrame {
                    head,
                    sum,
                    body,
                    end,
                });
            }
            self.at = end;
        }
    }
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
    /// What the system's cache holds is read from the disk again.
    past_cache: bool,
}

impl Window {
    fn open(found: &FoundFile) -> io::Result<Self> {
        Ok(Self {
            file: File::open(&found.path)?,
            len: found.len,
            at: 0,
            bytes: Vec::new(),
            past_cache: false,
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
        if self.past_cache {
            forget_cached(&self.file, at, self.bytes.len());
        }
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
