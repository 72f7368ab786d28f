//! Tampering with data folders, and what the product's own check says: `verify`, the checkpoint in the folder, and a witness that
//! has cosigned the whole strand.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use boboyka_store::{root_offline, verify_offline};
use boboyka_tlog::{Checkpoint, Note, TreeHash, VerifierKey};
use fastrand::Rng;

use super::detect::By;
use super::table::Tampered;
use crate::Tools;
use crate::tools::copy;

/// The folders that everything is made of.
struct Folders {
    whole: PathBuf,
    old: PathBuf,
    fork: PathBuf,
    fork_pruned: PathBuf,
    other: PathBuf,
    /// What the witness has cosigned, and the key that the log is known by.
    cosigned: Checkpoint,
    key: VerifierKey,
}

/// What is done to a folder, whether that must be told, and the folder.
type Tampering = (&'static str, bool, PathBuf);

/// Tampers this often with real folders, and asks the real checks.
///
/// # Errors
/// A strand can't be made.
pub fn tamper_disk(tools: &Tools, count: usize, seed: u64) -> anyhow::Result<Tampered> {
    let (mut rng, folders) = (Rng::with_seed(seed), Folders::make(tools)?);
    let mut table = Tampered::default();
    for (what, folder) in [
        ("on the disk: a copy", &folders.whole),
        ("on the disk: the same again", &folders.whole),
    ] {
        table.honest(what, detect(&folders, folder).as_ref());
    }
    for n in 0..count {
        let place = tools.folder("tampered")?;
        let (what, is_told, folder) = folders.tamper(n, &place, &mut rng)?;
        table.tampered(what, is_told, detect(&folders, &folder).as_ref());
    }
    Ok(table)
}

impl Folders {
    fn make(tools: &Tools) -> anyhow::Result<Self> {
        let begin = ["batch:200x40", "batch:200x40", "sealed", "sign"];
        let [old, whole, fork, fork_pruned, other] =
            ["old", "whole", "fork", "fork-pruned", "other"].map(|name| tools.path(name));
        drive(tools, &old, &begin)?;
        drive(tools, &other, &begin)?;
        for folder in [&whole, &fork, &fork_pruned] {
            copy(&old, folder)?;
        }
        drive(tools, &whole, &["batch:50x40", "sign"])?;
        drive(tools, &fork, &["batch:90x40", "sign"])?;
        let pruned = [
            "batch:200x40",
            "batch:200x40",
            "sealed",
            "phase:3",
            "prune:1",
            "sign",
        ];
        drive(tools, &fork_pruned, &pruned)?;
        let note = fs::read_to_string(whole.join("tlog/checkpoint"))?;
        let note: Note = note.parse()?;
        let cosigned = Checkpoint::of_note(&note)?;
        let secret = fs::read_to_string(whole.join("tlog/key"))?;
        let key = boboyka_tlog::SigningKey::from_secret_text(
            secret.trim_end(),
            boboyka_tlog::key::Kind::Log,
        )?;
        let key = key.named(cosigned.origin())?.verifier().clone();
        Ok(Self {
            whole,
            old,
            fork,
            fork_pruned,
            other,
            cosigned,
            key,
        })
    }

    fn tamper(&self, n: usize, place: &Path, rng: &mut Rng) -> anyhow::Result<Tampering> {
        let folder = |from: &Path| -> anyhow::Result<PathBuf> {
            let to = place.join("data");
            copy(from, &to)?;
            Ok(to)
        };
        Ok(match n % 8 {
            0 => (
                "on the disk: an old volume is restored",
                true,
                folder(&self.old)?,
            ),
            1 => (
                "on the disk: a fork by the sidecar itself",
                true,
                folder(&self.fork)?,
            ),
            2 => {
                let what = "on the disk: a fork, pruned above what was cosigned";
                (what, true, folder(&self.fork_pruned)?)
            }
            3 => ("on the disk: another strand", true, folder(&self.other)?),
            4 => {
                let whole = folder(&self.whole)?;
                let segments = list(&whole.join("segments"))?;
                let other = list(&self.other.join("segments"))?;
                let (Some(from), Some(to)) = (other.first(), segments.first()) else {
                    anyhow::bail!("there is no segment");
                };
                fs::copy(from, to)?;
                ("on the disk: a segment of another strand", true, whole)
            }
            5 => {
                let whole = folder(&self.whole)?;
                let file = some_file(&whole, rng)?;
                let mut bytes = fs::read(&file)?;
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 1 << rng.u8(..8);
                fs::write(&file, bytes)?;
                ("on the disk: a bit is flipped", false, whole)
            }
            6 => {
                let whole = folder(&self.whole)?;
                let file = some_file(&whole, rng)?;
                let length = fs::metadata(&file)?.len();
                fs::File::options()
                    .write(true)
                    .open(&file)?
                    .set_len(rng.u64(..length))?;
                ("on the disk: a file is cut off", false, whole)
            }
            _ => {
                let whole = folder(&self.whole)?;
                fs::remove_file(some_file(&whole, rng)?)?;
                ("on the disk: a file is removed", false, whole)
            }
        })
    }
}

/// The first that tells. Where nothing does, the folder verifies and holds everything that was cosigned: what was changed was a
/// cache, or room that nothing uses.
fn detect(folders: &Folders, folder: &Path) -> Option<By> {
    match verify_offline(folder, |_| ControlFlow::Continue(())) {
        Err(error) => return Some(By::Chain(error.to_string())),
        Ok(verdict) if !verdict.ok => {
            return Some(By::Chain(verdict.reason.unwrap_or_default()));
        }
        Ok(_) => {}
    }
    let root = |size| match root_offline(folder, size) {
        Ok(root) => root.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let read = || -> anyhow::Result<Checkpoint> {
        let note: Note = fs::read_to_string(folder.join("tlog/checkpoint"))?.parse()?;
        Ok(Checkpoint::verify(&note, std::slice::from_ref(&folders.key))?.0)
    };
    let signed = match read() {
        Ok(signed) => signed,
        Err(error) => return Some(By::Checkpoint(error.to_string())),
    };
    let differs = |found: Result<TreeHash, String>, known: TreeHash| match found {
        Ok(found) => (found != known).then(|| "the strand has other records".to_owned()),
        Err(error) => Some(error),
    };
    if let Some(why) = differs(root(signed.size()), signed.root()) {
        return Some(By::Checkpoint(why));
    }
    let cosigned = &folders.cosigned;
    differs(root(cosigned.size()), cosigned.root()).map(By::Witness)
}

fn drive(tools: &Tools, folder: &Path, steps: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(&tools.driver);
    command.arg("drive").arg("--data").arg(folder).args(steps);
    let status = command.stdout(Stdio::null()).status()?;
    ensure!(status.success(), "the driver failed: {steps:?}");
    Ok(())
}

fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

/// A file that is not empty.
fn some_file(folder: &Path, rng: &mut Rng) -> anyhow::Result<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in list(&folder)? {
            if path.is_dir() {
                folders.push(path);
            } else if fs::metadata(&path)?.len() > 0 {
                files.push(path);
            }
        }
    }
    Ok(files.swap_remove(rng.usize(..files.len())))
}
