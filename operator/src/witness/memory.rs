//! What was cosigned last under each origin, and its text in a ConfigMap. Pure.
//!
//! A ConfigMap has a key for each strand; its value has a line for each incarnation: number, size, root, the verifier key
//! without its name, the log's signature, and the time of the cosignature in seconds since 1970.

use boboyka_tlog::note::{Signature, parse_signatures};
use boboyka_tlog::witness::monitoring_path;
use boboyka_tlog::{Checkpoint, Note, TreeHash, VerifierKey};
use uuid::Uuid;

use super::origin::Origin;

/// Incarnations of one strand; a strand with more is refused.
pub(super) const INCARNATIONS_MAX: usize = 64;

/// What was cosigned of one strand: its incarnations, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory(pub(super) Vec<Cosigned>);

/// The newest checkpoint of one incarnation that was cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cosigned {
    pub(super) origin: Origin,
    pub(super) size: u64,
    pub(super) root: TreeHash,
    /// The only key that is trusted for the origin.
    pub(super) key: VerifierKey,
    /// The log's signature under the checkpoint.
    pub(super) signature: Signature,
    /// When it was cosigned.
    pub(super) seconds: u64,
}

impl Memory {
    /// The memory of a strand from its text; `None` when it is none.
    pub(super) fn read(strand: Uuid, text: &str) -> Option<Self> {
        let lines = text.lines().map(|line| Cosigned::read(strand, line));
        let lines: Option<Vec<Cosigned>> = lines.collect();
        let lines = lines?;
        let mut pairs = lines.windows(2);
        let ascends = pairs.all(|pair| match pair {
            [one, next] => one.origin.number < next.origin.number,
            _ => false,
        });
        (ascends && !lines.is_empty()).then_some(Self(lines))
    }

    /// Its text.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(Cosigned::line).collect()
    }

    /// What was cosigned under an origin.
    pub(super) fn of(&self, origin: Origin) -> Option<&Cosigned> {
        self.0.iter().find(|one| one.origin == origin)
    }

    /// Remembers a checkpoint in place of the one before.
    pub(super) fn remember(&mut self, cosigned: Cosigned) {
        let number = cosigned.origin.number;
        match self
            .0
            .binary_search_by_key(&number, |one| one.origin.number)
        {
            Ok(at) => {
                if let Some(before) = self.0.get_mut(at) {
                    *before = cosigned;
                }
            }
            Err(at) => self.0.insert(at, cosigned),
        }
    }

    /// When something was cosigned last.
    pub(super) fn newest_seconds(&self) -> u64 {
        self.0.iter().map(|one| one.seconds).max().unwrap_or(0)
    }
}

impl Cosigned {
    /// The checkpoint with the log's signature.
    pub(super) fn note(&self) -> Option<Note> {
        let text = self.checkpoint()?.to_string();
        format!("{text}\n{}\n", self.signature).parse().ok()
    }

    /// The checkpoint.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        Checkpoint::new(self.origin.to_string(), self.size, self.root).ok()
    }

    /// The path at which monitors ask for it.
    pub(super) fn path(&self) -> String {
        monitoring_path(&self.origin.to_string())
    }

    fn read(strand: Uuid, line: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split(' ').collect();
        let [number, size, root, key, signature, seconds] = parts[..] else {
            return None;
        };
        let number = number.parse().ok()?;
        let origin = Origin { strand, number };
        let signature = parse_signatures(&format!("\u{2014} {origin} {signature}\n")).ok()?;
        Some(Self {
            origin,
            size: size.parse().ok()?,
            root: root.parse().ok()?,
            key: format!("{origin}+{key}").parse().ok()?,
            signature: signature.into_iter().next()?,
            seconds: seconds.parse().ok()?,
        })
    }

    fn line(&self) -> String {
        let (number, size, root, seconds) =
            (self.origin.number, self.size, self.root, self.seconds);
        let (key, signature) = (self.key.to_string(), self.signature.to_string());
        let key = key.split_once('+').map_or("", |(_, rest)| rest);
        let signature = signature.rsplit(' ').next().unwrap_or_default();
        format!("{number} {size} {root} {key} {signature} {seconds}\n")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use boboyka_tlog::SigningKey;
    use boboyka_tlog::key::Kind;

    use super::*;

    pub(in super::super) const STRAND: Uuid = Uuid::max();

    pub(in super::super) fn log_key(number: u64, seed: u8) -> SigningKey {
        let origin = Origin {
            strand: STRAND,
            number,
        };
        SigningKey::from_seed(&origin.to_string(), Kind::Log, [seed; 32]).unwrap()
    }

    pub(in super::super) fn cosigned(number: u64, size: u64, root: TreeHash) -> Cosigned {
        let key = log_key(number, 7);
        let checkpoint = Checkpoint::new(key.verifier().name().to_owned(), size, root).unwrap();
        let note = checkpoint.sign(&key);
        Cosigned {
            origin: Origin {
                strand: STRAND,
                number,
            },
            size,
            root,
            key: key.verifier().clone(),
            signature: note.signatures()[0].clone(),
            seconds: 1_800_000_000,
        }
    }

    #[test]
    fn a_memory_is_read_as_it_was_written_and_its_checkpoint_is_signed_by_the_log() {
        let mut memory = Memory::default();
        memory.remember(cosigned(2, 9, TreeHash::of_leaf(b"b")));
        memory.remember(cosigned(1, 5, TreeHash::of_leaf(b"a")));
        memory.remember(cosigned(1, 7, TreeHash::of_leaf(b"c")));
        assert_eq!(Memory::read(STRAND, &memory.text()), Some(memory.clone()));
        assert_eq!(memory.0.len(), 2);
        let first = &memory.0[0];
        assert_eq!((first.origin.number, first.size), (1, 7));
        let note = first.note().unwrap();
        assert_eq!(
            note.verify(std::slice::from_ref(&first.key)).unwrap().len(),
            1
        );
        assert!(memory.text().len() < 2 * 300, "{}", memory.text().len());
    }

    #[test]
    fn a_memory_that_was_altered_is_none() {
        let mut memory = Memory::default();
        memory.remember(cosigned(1, 5, TreeHash::of_leaf(b"a")));
        let text = memory.text();
        for wrong in [
            String::new(),
            text.replace(' ', "  "),
            text.replace("1 5", "1 -5"),
            format!("{text}{text}"),
            text[..text.len() / 2].to_owned(),
        ] {
            assert_eq!(Memory::read(STRAND, &wrong), None, "{wrong}");
        }
    }
}
