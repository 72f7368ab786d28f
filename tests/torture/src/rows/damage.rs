//! Damage of a strand at rest: a flipped bit, a lost sector, a cut in any of its files.

use std::path::{Path, PathBuf};

use fastrand::Rng;

use crate::record::{DATA, Recording, Run};
use crate::table::Harm;
use crate::torture::{State, Torture};

const SECTOR: usize = 512;

impl Torture<'_> {
    pub(super) async fn damage(&mut self) -> anyhow::Result<()> {
        let run = Run::of(
            "phase:1 batch:350x60 sealed batch:350x60 sealed singles:5 batch:40x60 singles:5",
        );
        let recording = Recording::make(self.tools, "at rest", &[run])?;
        let promise = recording.promise(usize::MAX);
        let mut files = Vec::new();
        collect(&recording.root.join(DATA), &mut files)?;
        let mut rng = self.rng("damage");
        let (tools, root) = (self.tools, recording.root.clone());
        for (row, harm) in [
            (
                "a flipped bit",
                (|bytes, rng| flip(bytes, rng)) as fn(&mut Vec<u8>, &mut Rng),
            ),
            ("a sector of zeros", |bytes, rng| zero_sector(bytes, rng)),
            ("a file cut short", cut),
        ] {
            let states = (0..self.size.damages).map(|n| {
                // Every file in turn, so that small ones come too.
                let file = files[n % files.len()].clone();
                let (mut rng, root, promise) = (rng.fork(), root.clone(), promise.clone());
                async move {
                    let folder = tools.folder(&format!("{row} {n}"))?;
                    crate::tools::copy(&root, &folder)?;
                    let below = file.strip_prefix(&root)?;
                    let mut bytes = std::fs::read(&file)?;
                    harm(&mut bytes, &mut rng);
                    std::fs::write(folder.join(below), bytes)?;
                    Ok(State {
                        name: format!("{row} in {} {n}", below.display()),
                        folder,
                        promise,
                    })
                }
            });
            let states = states.collect();
            self.check_all(row, Harm::Damage, states).await;
        }
        Ok(())
    }
}

/// All files that have contents.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect(&entry.path(), files)?;
        } else if metadata.len() > 0 && entry.file_name() != "LOCK" {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// A place that holds something: most of a preallocated file holds nothing.
fn place(bytes: &[u8], rng: &mut Rng) -> usize {
    let start = rng.usize(..bytes.len());
    let later = bytes[start..].iter().position(|byte| *byte != 0);
    let earlier = || bytes[..start].iter().rposition(|byte| *byte != 0);
    later.map(|at| start + at).or_else(earlier).unwrap_or(start)
}

fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let at = place(bytes, rng);
    bytes[at] ^= 1 << rng.u8(..8);
}

fn zero_sector(bytes: &mut [u8], rng: &mut Rng) {
    let begin = place(bytes, rng) / SECTOR * SECTOR;
    let end = bytes.len().min(begin + SECTOR);
    bytes[begin..end].fill(0);
}

fn cut(bytes: &mut Vec<u8>, rng: &mut Rng) {
    bytes.truncate(place(bytes, rng));
}
