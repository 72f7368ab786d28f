//! What one write of a `ConfigMap` is to remember.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::judge::Accepted;
use super::map::Map;
use super::memory::Memory;
use super::origin::Origin;

/// The strands of one write.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) work: BTreeMap<Uuid, Memory>,
    /// The logs in it of which nothing was remembered.
    begun: usize,
}

impl Batch {
    /// Adds a checkpoint that may be cosigned.
    ///
    /// # Errors
    /// There is no room for one more log; the others of the batch are written all the same.
    pub(super) fn grant(
        &mut self,
        map: &Map,
        origin: Origin,
        accepted: &Accepted,
        seconds: u64,
    ) -> Result<(), String> {
        let known = || map.memory(origin.strand).ok().flatten();
        let memory = self.work.get(&origin.strand).or_else(known);
        let mut memory = memory.cloned().unwrap_or_default();
        if memory.of(origin).is_none() {
            self.begun += 1;
            map.room_for(self.begun)?;
        }
        memory.remember(accepted.cosigned(origin, seconds));
        self.work.insert(origin.strand, memory);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use boboyka_tlog::{Checkpoint, TreeHash};
    use serde_json::json;

    use super::super::map::tests::map_of;
    use super::super::memory::tests::{STRAND, cosigned, log_key};
    use super::*;

    fn accepted(number: u64) -> (Origin, Accepted) {
        let (key, root) = (log_key(number, 7), TreeHash::of_leaf(b"b"));
        let checkpoint = Checkpoint::new(key.verifier().name().to_owned(), 9, root).unwrap();
        let accepted = Accepted {
            key: key.verifier().clone(),
            signature: checkpoint.sign(&key).signatures()[0].clone(),
            checkpoint,
        };
        let origin = Origin {
            strand: STRAND,
            number,
        };
        (origin, accepted)
    }

    #[tokio::test]
    async fn a_full_configmap_takes_no_new_log_and_goes_on_with_those_it_has() {
        let memory = Memory(vec![cosigned(1, 5, TreeHash::of_leaf(b"a"))]);
        let data = json!({STRAND.to_string(): memory.text(), "filler": "x".repeat(899_700)});
        let mut map = map_of(200, data);
        map.refresh(Duration::ZERO).await.unwrap();
        let mut batch = Batch::default();
        let (second, begins) = accepted(2);
        let refused = batch.grant(&map, second, &begins, 1);
        assert!(refused.unwrap_err().contains("no room"), "it is full");
        let (first, grows) = accepted(1);
        assert_eq!(batch.grant(&map, first, &grows, 1), Ok(()));
        let written = &batch.work[&STRAND];
        assert_eq!(written.0.len(), 1);
        assert_eq!(written.of(first).unwrap().size, 9);
    }
}
