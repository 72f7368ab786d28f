//! Power cuts of real file systems: an image on a loop device is copied at one moment under load, and mounted again. Needs
//! root, a loop device and the file system's mkfs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::check::{Outcome, check};
use crate::record::{DATA, Promise};
use crate::subject::Subject;
use crate::table::Harm;
use crate::torture::{State, Torture};

const IMAGE_BYTES: u64 = 192 * 1024 * 1024;

impl Torture<'_> {
    pub(super) async fn images(&mut self) -> anyhow::Result<()> {
        if self.size.images == 0 {
            return Ok(());
        }
        self.no_room().await?;
        self.table.leave_out(
            "write errors of a real device",
            "no row uses the device mapper's error target; the recorder's failing syncs and writes stand for them",
        );
        for (system, flag) in [("ext4", "-F"), ("xfs", "-f"), ("btrfs", "-f")] {
            let row = format!("power cut of a real {system}");
            if let Err(error) = self.image(system, flag) {
                self.table.leave_out(&row, &format!("{error:#}"));
                continue;
            }
            for n in 0..self.size.images {
                let folder = self.tools.folder(&format!("{system} {n}"))?;
                let cut = self.cut_image(system, &folder, n).await;
                let outcome = cut.unwrap_or_else(|error| Outcome::Wrong(format!("{error:#}")));
                let name = format!("{system} {n}");
                let before = folder.clone();
                let promise = Promise::default();
                let state = State {
                    name,
                    folder,
                    promise,
                };
                self.count(&row, Harm::None, &state, &before, &outcome, false);
            }
        }
        Ok(())
    }

    /// A disk with no byte free: the sidecar starts, answers from what it has, and takes records when there is room again.
    async fn no_room(&mut self) -> anyhow::Result<()> {
        const ROW: &str = "a start on a disk with 0 bytes free";
        let place = self.tools.folder("no room")?;
        let mounted = match Mount::memory(&place) {
            Ok(mounted) => mounted,
            Err(error) => {
                self.table.leave_out(ROW, &format!("{error:#}"));
                return Ok(());
            }
        };
        let mut promise = Promise::default();
        let mut subject = start(self, &place.join(DATA)).await?;
        let loaded = subject.load(10, &mut promise).await;
        loaded.map_err(anyhow::Error::msg)?;
        subject.process().kill();
        let outcome = self.on_a_full_disk(&place, &promise).await;
        drop(mounted);
        let state = State {
            name: ROW.to_owned(),
            folder: place.clone(),
            promise,
        };
        let outcome = outcome.unwrap_or_else(Outcome::Wrong);
        self.count(ROW, Harm::None, &state, &place, &outcome, false);
        Ok(())
    }

    async fn on_a_full_disk(&self, place: &Path, promise: &Promise) -> Result<Outcome, String> {
        let filler = place.join("filler");
        fill(&filler).map_err(|error| error.to_string())?;
        let data = place.join(DATA);
        let subject = Subject::start(self.tools, &data, |_| {}).await?;
        let (status, page) = subject.get("/v1/boboyka/events?limit=5").await?;
        if status != 200 || page["events"].as_array().map(Vec::len) != Some(5) {
            return Err(format!("the feed answers {status}: {page}"));
        }
        let (status, body) = subject.ingest(1).await?;
        // The journal's file may have room for a record; then it is durable like any other.
        if status != 200 && status != 507 {
            return Err(format!("an ingest gets {status}: {body}"));
        }
        drop(subject);
        std::fs::remove_file(&filler).map_err(|error| error.to_string())?;
        Ok(check(self.tools, &data, promise).await)
    }

    /// Makes an empty image of a file system, and mounts it once.
    fn image(&self, system: &str, flag: &str) -> anyhow::Result<()> {
        let image = self.tools.path(&format!("{system}.img"));
        std::fs::File::create(&image)?.set_len(IMAGE_BYTES)?;
        run(Command::new(format!("mkfs.{system}"))
            .args(["-q", flag])
            .arg(&image))?;
        let place = self.tools.folder("mount")?;
        drop(Mount::new(&image, &place)?);
        Ok(())
    }

    async fn cut_image(&self, system: &str, folder: &Path, n: usize) -> anyhow::Result<Outcome> {
        let (image, copy) = (folder.join("image"), folder.join("copy"));
        std::fs::copy(self.tools.path(&format!("{system}.img")), &image)?;
        let place = folder.join("mount");
        std::fs::create_dir(&place)?;
        let mounted = Mount::new(&image, &place)?;
        let data = place.join(DATA);
        let mut subject = start(self, &data).await?;
        let mut promise = Promise::default();
        let loaded = subject.load(10 + n as u64 * 7 % 40, &mut promise).await;
        loaded.map_err(anyhow::Error::msg)?;
        subject.process().signal("STOP");
        copy_at_one_moment(&image, &copy)?;
        subject.process().kill();
        drop(mounted);
        let mounted = Mount::new(&copy, &place)?;
        let outcome = check(self.tools, &data, &promise).await;
        drop(mounted);
        Ok(outcome)
    }
}

async fn start(torture: &Torture<'_>, data: &Path) -> anyhow::Result<Subject> {
    let started = Subject::start(torture.tools, data, |_| {}).await;
    started.map_err(anyhow::Error::msg)
}

/// Copies until two copies in a row are the same: then nothing was written during the second.
fn copy_at_one_moment(image: &Path, copy: &Path) -> anyhow::Result<()> {
    let mut before = std::fs::read(image)?;
    for _ in 0..50 {
        let now = std::fs::read(image)?;
        if now == before {
            return Ok(std::fs::write(copy, now)?);
        }
        before = now;
    }
    anyhow::bail!("the image does not come to rest")
}

/// Writes a file until nothing is free.
fn fill(path: &Path) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    let mut piece = 1024 * 1024;
    while piece > 0 {
        match file.write(&vec![1; piece]) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece /= 2,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A mounted image, unmounted when it is dropped.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(image: &Path, place: &'a Path) -> anyhow::Result<Self> {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([image, place]))?;
        Ok(Self(place))
    }

    /// A file system in memory, as small as a strand needs.
    fn memory(place: &'a Path) -> anyhow::Result<Self> {
        let options = ["-t", "tmpfs", "-o", "size=64m", "tmpfs"];
        run(Command::new("mount").args(options).arg(place))?;
        Ok(Self(place))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg(self.0));
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let done = command
        .output()
        .with_context(|| format!("run {}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(
        done.status.success(),
        "{}: {}",
        command.get_program().display(),
        said.trim()
    );
    Ok(())
}
