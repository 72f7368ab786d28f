//! The driver: works on a store by steps and says what is acknowledged, in the words of the API, so that one reader takes
//! both. A process of its own, because it is killed and lives under the recorder.

use std::io::Write as _;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use boboyka_crds::Phase;
use boboyka_store::{Appended, IdempotencyKey, NewRecord, Options, Store, TlogKey};
use boboyka_strand::retention::Policy;
use boboyka_strand::{Record, RecordType};
use serde_json::{Value, json};

/// Small, so that a few hundred records are sealed, pruned and read; a run has at most 256, and is sealed whole.
const SEAL_BLOCKS: usize = 300;
/// Small, so that files of the journal are used again.
const JOURNAL_FILE_BYTES: u64 = 256 * 1024;
/// How long a segment may take to be sealed.
const GUARD: Duration = Duration::from_mins(2);
/// Between two records while something is sealed.
const PAUSE: Duration = Duration::from_millis(10);

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Appends this many records with idempotency keys, one after another: `singles:5`.
    Singles(u32),
    /// Appends records in one commit, each with this many bytes of noise: `batch:100x300`.
    Batch(u32, u32),
    /// Appends records from many tasks at once: `load:8x20`.
    Load(u32, u32),
    /// Appends single records until a part of the tail has been sealed: `sealed`.
    Sealed,
    /// Puts a phase into force: `phase:2`.
    Phase(u32),
    /// Keeps this many bytes: `prune:20000`.
    Prune(u32),
    /// Signs a checkpoint of the transparency log: `sign`.
    Sign,
    /// Ends like a power cut: `kill`.
    Kill,
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let number = || value.parse().with_context(|| format!("{text}: no number"));
        let pair = || -> anyhow::Result<(u32, u32)> {
            let (a, b) = value
                .split_once('x')
                .with_context(|| format!("{text}: no pair"))?;
            Ok((a.parse()?, b.parse()?))
        };
        Ok(match name {
            "singles" => Self::Singles(number()?),
            "batch" => pair().map(|(records, bytes)| Self::Batch(records, bytes))?,
            "load" => pair().map(|(tasks, each)| Self::Load(tasks, each))?,
            "sealed" => Self::Sealed,
            "sign" => Self::Sign,
            "phase" => Self::Phase(number()?),
            "prune" => Self::Prune(number()?),
            "kill" => Self::Kill,
            _ => bail!("{text} is no step"),
        })
    }
}

/// Works through the steps on the strand in a folder, then closes it.
///
/// # Errors
/// The store refuses something; after a failed write it does.
pub async fn drive(data: &Path, steps: &[Step]) -> anyhow::Result<()> {
    let store = Store::open(Options {
        min_free_bytes: 0,
        seal_blocks: SEAL_BLOCKS,
        journal_file_bytes: JOURNAL_FILE_BYTES,
        ..Options::new(data)
    })?;
    let mut driver = Driver {
        segments: store.view().footprint.segments,
        made: store.view().head.seq,
        signs: false,
        store,
    };
    for step in steps {
        driver.work(*step).await?;
    }
    let store = driver.store;
    tokio::task::spawn_blocking(move || store.close()).await?;
    Ok(())
}

struct Driver {
    store: Store,
    made: u64,
    /// How many there were when the driver looked last.
    segments: usize,
    /// Whether it has begun to sign.
    signs: bool,
}

impl Driver {
    async fn work(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Singles(count) => {
                for _ in 0..count {
                    let record = self.keyed();
                    say(&append(&self.store, vec![record]).await?)?;
                }
            }
            Step::Batch(count, bytes) => {
                let records = self.records(count, bytes);
                say(&append(&self.store, records).await?)?;
            }
            Step::Load(tasks, each) => self.load(tasks, each).await?,
            Step::Sealed => self.seal().await?,
            Step::Phase(number) => {
                let phases = [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver];
                let phase = phases[number as usize - 1];
                self.store.set_phase(phase, i64::from(number)).await?;
            }
            Step::Prune(bytes) => {
                print("{\"prune\":1}\n")?;
                let policy = Policy {
                    max_age_ms: None,
                    max_size_bytes: Some(u64::from(bytes)),
                };
                self.store.prune(policy, false).await?;
                print(&format!(
                    "{{\"floor\":{}}}\n",
                    self.store.view().floor.head.seq
                ))?;
            }
            Step::Sign => self.sign().await?,
            // Nothing runs that would at an ordinary end.
            Step::Kill => std::process::abort(),
        }
        Ok(())
    }

    async fn seal(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.store.view().footprint.segments <= self.segments {
            ensure!(begun.elapsed() < GUARD, "nothing was sealed");
            let records = self.records(1, 30);
            say(&append(&self.store, records).await?)?;
            tokio::time::sleep(PAUSE).await;
        }
        self.segments = self.store.view().footprint.segments;
        Ok(())
    }

    /// Signs as the sidecar does, and says what anybody may see from then on.
    async fn sign(&mut self) -> anyhow::Result<()> {
        let (store, begin) = (
            self.store.clone(),
            !std::mem::replace(&mut self.signs, true),
        );
        let signed = tokio::task::spawn_blocking(move || {
            if begin {
                store.begin_tlog(&TlogKey::Own, None, &[])?;
            }
            store.publish_checkpoint(store.view().head.seq)
        });
        let signed = signed.await??;
        let seen = &signed.checkpoint;
        let line = format!("{} {} {}", seen.origin(), seen.size(), seen.root());
        print(&format!("{{\"checkpoint\":\"{line}\"}}\n"))
    }

    async fn load(&mut self, tasks: u32, each: u32) -> anyhow::Result<()> {
        let mut running = Vec::new();
        for _ in 0..tasks {
            let records = self.records(each, 60);
            let store = self.store.clone();
            running.push(tokio::spawn(async move {
                for record in records {
                    say(&append(&store, vec![record]).await?)?;
                }
                anyhow::Ok(())
            }));
        }
        for task in running {
            task.await??;
        }
        Ok(())
    }

    /// A record with an idempotency key: the same content for the same key.
    fn keyed(&mut self) -> NewRecord {
        self.made += 1;
        let data = keyed_data(self.made).to_string();
        NewRecord {
            record: Record::from_json(RecordType::AuditLog, &data).unwrap(),
            key: Some(IdempotencyKey::new(&key(self.made))),
        }
    }

    fn records(&mut self, count: u32, bytes: u32) -> Vec<NewRecord> {
        let record = |_| {
            self.made += 1;
            let noise: String = (0..bytes).map(|_| fastrand::alphanumeric()).collect();
            let data = format!(
                r#"{{"agent_id":"a","event":"e","n":{},"x":"{noise}"}}"#,
                self.made
            );
            NewRecord {
                record: Record::from_json(RecordType::AuditLog, &data).unwrap(),
                key: None,
            }
        };
        (0..count).map(record).collect()
    }
}

/// The key of the n-th record, if it has one.
pub fn key(n: u64) -> String {
    format!("key-{n}")
}

/// The content of the n-th record, if it has a key.
pub fn keyed_data(n: u64) -> Value {
    json!({"agent_id": "a", "event": "keyed", "n": n})
}

async fn append(store: &Store, records: Vec<NewRecord>) -> anyhow::Result<Vec<Appended>> {
    let appended = store.append(records).await?;
    Ok(appended.into_iter().flatten().collect())
}

fn say(appended: &[Appended]) -> anyhow::Result<()> {
    let receipt =
        |one: &Appended| format!("{{\"record_hash\":\"{}\",\"seq\":{}}}\n", one.hash, one.seq);
    print(&appended.iter().map(receipt).collect::<String>())
}

/// In one write: what was said is a whole message.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::Step;

    #[test]
    fn steps_are_read_from_text() {
        let steps: [Step; 5] = ["singles:5", "batch:100x300", "load:8x20", "sealed", "kill"]
            .map(|text| text.parse().unwrap());
        let expected = [
            Step::Singles(5),
            Step::Batch(100, 300),
            Step::Load(8, 20),
            Step::Sealed,
            Step::Kill,
        ];
        assert_eq!(steps, expected);
        assert!("batch:7".parse::<Step>().is_err());
    }
}
