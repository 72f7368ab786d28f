//! The checkpoint that a restored strand must hold, and how far it does.

use boboyka_archive::{Bucket, CHECKPOINT, CONSISTENCY};
use boboyka_store::{Store, TlogError, causes};
use boboyka_strand::Seq;
use boboyka_tlog::witness::AddCheckpoint;
use boboyka_tlog::{Checkpoint, Note, Policy, TreeHash, proof};
use uuid::Uuid;

use super::error::RestoreError;
use crate::audit::signers::Signers;
use crate::command::verify;
use crate::config::Restore;

/// A checkpoint, and how its tree begins with that of the archived segments.
pub(super) struct Claim {
    pub(super) note: Note,
    /// The archive's own, which may tell of a later incarnation.
    pub(super) archived: Option<Note>,
    what: String,
    checkpoint: Checkpoint,
    /// From how many records, and the proof.
    consistency: Option<(u64, Vec<TreeHash>)>,
    /// Who signed it, as far as the policy trusts them.
    signers: Option<String>,
}

/// How a restored strand compares with the checkpoint.
pub(super) struct Comparison {
    origin: String,
    size: u64,
    /// Records that are shown to be the signed ones.
    proven: Seq,
    signers: Option<String>,
}

impl Claim {
    /// The checkpoint of the options, or the one in the archive, as far as the policy trusts it.
    pub(super) async fn read(
        bucket: &Bucket,
        strand: Uuid,
        options: &Restore,
    ) -> Result<Self, RestoreError> {
        let request = bucket.note(&format!("{strand}/{CONSISTENCY}")).await?;
        let request = request.and_then(|text| AddCheckpoint::from_bytes(text.as_bytes()).ok());
        let (note, what) = match &options.checkpoint {
            Some(path) => (verify::text(path)?, path.display().to_string()),
            None => archived(bucket, strand, request.as_ref()).await?,
        };
        let wrong = |why: String| RestoreError::Checkpoint {
            what: what.clone(),
            why,
        };
        let note: Note = note.parse().map_err(|error| wrong(format!("{error}")))?;
        let checkpoint = Checkpoint::of_note(&note).map_err(|error| wrong(error.to_string()))?;
        if !checkpoint.origin().contains(&format!("/{strand}/")) {
            let why = format!("it is of the log {}", checkpoint.origin());
            return Err(wrong(why));
        }
        let policy = options
            .policy
            .as_deref()
            .map(verify::policy_in)
            .transpose()?;
        let signers = policy
            .map(|policy: Policy| policy.verify(&note))
            .transpose();
        let signers = signers.map_err(|error| wrong(error.to_string()))?;
        let signers = signers.map(|(_, signed)| Signers(&signed).to_string());
        let archived = request.as_ref().map(|it| it.checkpoint.clone());
        let same = |request: &AddCheckpoint| request.checkpoint.text() == note.text();
        let consistency = request.filter(same).map(|it| (it.old, it.proof));
        Ok(Self {
            note,
            archived,
            what,
            checkpoint,
            consistency,
            signers,
        })
    }

    /// Compares a strand that has these records.
    pub(super) fn compare(&self, store: &Store, records: Seq) -> Result<Comparison, RestoreError> {
        let size = self.checkpoint.size();
        let wrong = |why: String| RestoreError::Checkpoint {
            what: self.what.clone(),
            why,
        };
        let root = |size| {
            let root = store.tlog_root(size);
            root.map_err(|error: TlogError| wrong(causes(&error)))
        };
        let forked = |at: u64| {
            wrong(format!(
                "FORKED: the first {at} records of the archive are not those that it signed"
            ))
        };
        let proven = if size <= records {
            if root(size)? != self.checkpoint.root() {
                return Err(forked(size));
            }
            size
        } else {
            match &self.consistency {
                Some((old, proof)) if *old <= records && *old > 0 => {
                    let (before, after) = (root(*old)?, self.checkpoint.root());
                    proof::verify_consistency((*old, before), (size, after), proof)
                        .map_err(|_| forked(*old))?;
                    *old
                }
                Some(_) | None => 0,
            }
        };
        Ok(Comparison {
            origin: self.checkpoint.origin().to_owned(),
            size,
            proven,
            signers: self.signers.clone(),
        })
    }
}

impl Comparison {
    /// What it comes to, for people.
    pub(super) fn lines(&self, records: Seq) -> Vec<String> {
        let (origin, size, proven) = (&self.origin, self.size, self.proven);
        let mut lines = vec![format!(
            "the checkpoint of {origin} has {size} records: the first {proven} of the archive are those that it signed"
        )];
        match &self.signers {
            Some(signers) => lines.extend(signers.lines().map(str::to_owned)),
            None => lines.push(
                "not proven: that nobody altered archive and checkpoint together: name a policy by --policy".to_owned(),
            ),
        }
        if proven < records {
            lines.push(format!(
                "not proven by the checkpoint: the records {} to {records}, which the chain alone ties to those before",
                proven + 1
            ));
        }
        if size > records {
            lines.push(format!(
                "MISSING: the records {} to {size} were signed and are not in the archive, and perhaps some behind them",
                records + 1
            ));
        } else {
            lines.push(
                "missing: nothing that the checkpoint knows; records behind it may be".to_owned(),
            );
        }
        lines
    }
}

/// The checkpoint in the archive: the one with a proof if there is one, because a crash may have left it newer.
async fn archived(
    bucket: &Bucket,
    strand: Uuid,
    request: Option<&AddCheckpoint>,
) -> Result<(String, String), RestoreError> {
    let object = format!("{strand}/{CHECKPOINT}");
    if let Some(request) = request {
        let what = format!("{strand}/{CONSISTENCY}");
        return Ok((request.checkpoint.to_string(), what));
    }
    let found = bucket.note(&object).await?;
    let note = found.ok_or_else(|| RestoreError::Checkpoint {
        what: object.clone(),
        why: "it is missing, and nothing else says under which origin the log was signed: name one by --checkpoint"
            .to_owned(),
    })?;
    Ok((note, object))
}

#[cfg(test)]
mod tests {
    use boboyka_store::{NewRecord, Options, Store, TlogKey};
    use boboyka_strand::{Record, RecordType};
    use boboyka_tlog::TreeHash;

    use super::Claim;

    /// A strand with some records, its log begun.
    async fn strand(folder: &std::path::Path) -> Store {
        let store = Store::open(Options::new(folder)).unwrap();
        for n in 0..20 {
            let data = format!(r#"{{"agent_id":"a","status":"healthy","n":{n}}}"#);
            let record = Record::from_json(RecordType::AgentHealth, &data).unwrap();
            let new = NewRecord { record, key: None };
            store.append(vec![new]).await.unwrap()[0].unwrap();
        }
        let begins = store.clone();
        let begun =
            tokio::task::spawn_blocking(move || begins.begin_tlog(&TlogKey::Own, None, &[]));
        begun.await.unwrap().unwrap();
        store
    }

    #[tokio::test]
    async fn a_newer_checkpoint_proves_the_archived_beginning_and_names_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = strand(folder.path()).await;
        let published = store.publish_checkpoint(20).unwrap();
        let proof = store.tlog_consistency(10, 20).unwrap();
        let claim = |consistency| Claim {
            note: published.note.clone(),
            archived: None,
            what: "checkpoint".to_owned(),
            checkpoint: published.checkpoint.clone(),
            consistency,
            signers: None,
        };
        let proven = |consistency, records| {
            let compared = claim(consistency).compare(&store, records);
            compared.map(|it| (it.proven, it.lines(records).join("\n")))
        };
        let (whole, said) = proven(None, 20).unwrap();
        assert_eq!(whole, 20);
        assert!(!said.contains("MISSING"), "{said}");
        let (first, said) = proven(Some((10, proof.clone())), 12).unwrap();
        assert_eq!(first, 10);
        assert!(said.contains("MISSING: the records 13 to 20"), "{said}");
        assert!(
            said.contains("the records 11 to 12, which the chain alone"),
            "{said}"
        );
        assert_eq!(proven(None, 12).unwrap().0, 0);
        let mut wrong = proof;
        wrong[0] = TreeHash::of_leaf(b"x");
        let error = proven(Some((10, wrong)), 12).unwrap_err();
        assert!(error.to_string().contains("FORKED"), "{error}");
        store.close();
    }
}
