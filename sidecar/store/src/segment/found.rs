//! A segment's frames, found without its footer: they stand one behind the other, and the catalogue says what they lead
//! to. What does not lead there is no find.

use std::fs::File;
use std::os::unix::fs::FileExt;

use boboyka_strand::run::{self, Run};
use boboyka_strand::{Head, PerType};
use zstd::zstd_safe::{find_frame_compressed_size, get_frame_content_size};

use super::follow::follow_run;
use super::format::{FRAME_MAX_BYTES, Frame, HEADER_BYTES, Segment};

/// All frames, oldest first; `None` unless they hold every block of the segment.
pub(super) fn frames(segment: &Segment, file: &File) -> Option<Vec<Frame>> {
    let mut at = HEADER_BYTES as u64;
    let len = usize::try_from(segment.meta.frames_end.checked_sub(at)?).ok()?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, at).ok()?;
    let (mut rest, mut head, mut frames) = (bytes.as_slice(), segment.meta.before, Vec::new());
    while !rest.is_empty() {
        let (packed, after) = rest.split_at_checked(find_frame_compressed_size(rest).ok()?)?;
        let frame;
        (frame, head) = read(at, packed, head)?;
        frames.push(frame);
        at += packed.len() as u64;
        rest = after;
    }
    (head == segment.meta.head).then_some(frames)
}

/// The frame at a place in the file, and the head behind it.
fn read(at: u64, packed: &[u8], before: Head) -> Option<(Frame, Head)> {
    let raw_len = raw_len_of(packed)?;
    let raw = zstd::bulk::decompress(packed, raw_len as usize).ok()?;
    let run = run::read(&raw).ok()?;
    let head = follow_run(before, &run, std::iter::empty()).ok()?;
    let frame = Frame {
        at,
        len: u32::try_from(packed.len()).ok()?,
        raw_len,
        first_seq: before.seq + 1,
        first_hlc: run.blocks.first()?.header.timestamp_hlc.get(),
        counts: counts_of(&run),
    };
    Some((frame, head))
}

/// How long a frame is when decompressed, as it says itself; `None` when that means nothing.
pub(super) fn raw_len_of(packed: &[u8]) -> Option<u32> {
    let len = u32::try_from(get_frame_content_size(packed).ok()??).ok()?;
    (len <= FRAME_MAX_BYTES).then_some(len)
}

fn counts_of(run: &Run) -> PerType<u16> {
    let mut counts = PerType::<u16>::default();
    for block in &run.blocks {
        counts[block.header.record_type] += 1;
    }
    counts
}
