//! The shim's log: every operation on the data folder and every message sent, in one total order. The layout is `struct
//! head` of `shim/shim.c`, in this machine's byte order, followed by path, target and data.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

const MAGIC: u32 = 0x5452_4f54;
const HEAD_BYTES: usize = 44;

/// A file or folder over the whole log, even where the file system gives an inode's number again.
pub type Node = u64;

/// What an operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A file or folder was made.
    Create {
        /// What was made.
        node: Node,
        /// Where.
        path: PathBuf,
        /// Whether it is a folder.
        folder: bool,
    },
    /// A file got a length.
    Truncate {
        /// The file.
        node: Node,
        /// Its length in bytes.
        len: u64,
    },
    /// Bytes were written.
    Write {
        /// The file.
        node: Node,
        /// Where in the file, in bytes.
        at: u64,
        /// Where in the log they are.
        data: Range<usize>,
    },
    /// A sync began.
    SyncBegin {
        /// What is synced.
        node: Node,
        /// Names the sync.
        sync: u64,
        /// The name that it was opened by.
        path: PathBuf,
    },
    /// A sync ended.
    SyncEnd {
        /// Names the sync.
        sync: u64,
        /// Whether it succeeded.
        ok: bool,
    },
    /// A name was given to another file.
    Rename {
        /// The old name.
        from: PathBuf,
        /// The new one.
        to: PathBuf,
    },
    /// A name of a file or an empty folder was removed.
    Unlink {
        /// The name.
        path: PathBuf,
    },
    /// Bytes left on a socket.
    Send {
        /// Which.
        fd: i32,
        /// Where in the log they are.
        data: Range<usize>,
    },
    /// A write was refused.
    WriteFailed,
}

/// A whole log.
pub struct Log {
    /// The operations in their order.
    pub ops: Vec<Op>,
    bytes: Vec<u8>,
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    /// It can't be read, or is cut short.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let (mut ops, mut at, mut nodes) = (Vec::new(), 0, Nodes::default());
        while at < bytes.len() {
            let raw =
                Raw::read(&bytes, at).with_context(|| format!("the log ends in record {at}"))?;
            at = raw.data.end;
            ops.push(raw.op(&mut nodes)?);
        }
        Ok(Self { ops, bytes })
    }

    /// A log of these operations, whose data lie in `bytes`.
    #[cfg(test)]
    pub(crate) fn of(ops: Vec<Op>, bytes: Vec<u8>) -> Self {
        Self { ops, bytes }
    }

    /// The bytes of a write or a message.
    pub fn data(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }
}

/// Inode numbers, and the nodes that have them now.
#[derive(Default)]
struct Nodes {
    made: Node,
    of: HashMap<u64, Node>,
}

impl Nodes {
    fn make(&mut self, inode: u64) -> Node {
        self.made += 1;
        self.of.insert(inode, self.made);
        self.made
    }

    /// Folders that were there before the log have no record of their own.
    fn get(&mut self, inode: u64) -> Node {
        match self.of.get(&inode) {
            Some(node) => *node,
            None => self.make(inode),
        }
    }
}

struct Raw {
    op: u32,
    inode: u64,
    at: u64,
    fd: i32,
    path: PathBuf,
    target: PathBuf,
    data: Range<usize>,
}

impl Raw {
    fn read(bytes: &[u8], at: usize) -> anyhow::Result<Self> {
        let head = bytes.get(at..at + HEAD_BYTES).context("no head")?;
        let word = |at: usize| -> u32 {
            let mut word = [0; 4];
            word.copy_from_slice(&head[at..at + 4]);
            u32::from_ne_bytes(word)
        };
        let long = |at: usize| -> u64 { u64::from(word(at)) | u64::from(word(at + 4)) << 32 };
        ensure!(word(0) == MAGIC, "no record");
        let (path_at, target_len) = (at + HEAD_BYTES, word(32) as usize);
        let target_at = path_at + word(28) as usize;
        let data_at = target_at + target_len;
        let data = data_at..data_at + word(36) as usize;
        ensure!(data.end <= bytes.len(), "no data");
        let text = |range: Range<usize>| String::from_utf8_lossy(&bytes[range]).into_owned().into();
        Ok(Self {
            op: word(4),
            inode: long(8),
            at: long(16),
            fd: i32::from_ne_bytes(word(40).to_ne_bytes()),
            path: text(path_at..target_at),
            target: text(target_at..data_at),
            data,
        })
    }

    fn op(self, nodes: &mut Nodes) -> anyhow::Result<Op> {
        Ok(match self.op {
            1 | 9 => Op::Create {
                node: nodes.make(self.inode),
                path: self.path,
                folder: self.op == 9,
            },
            2 => Op::Truncate {
                node: nodes.get(self.inode),
                len: self.at,
            },
            3 => Op::Write {
                node: nodes.get(self.inode),
                at: self.at,
                data: self.data,
            },
            4 => Op::SyncBegin {
                node: nodes.get(self.inode),
                sync: self.at,
                path: self.path,
            },
            5 | 6 => Op::SyncEnd {
                sync: self.at,
                ok: self.op == 5,
            },
            7 => Op::Rename {
                from: self.path,
                to: self.target,
            },
            8 | 10 => Op::Unlink { path: self.path },
            11 => Op::Send {
                fd: self.fd,
                data: self.data,
            },
            12 => Op::WriteFailed,
            other => anyhow::bail!("operation {other} is not known"),
        })
    }
}
