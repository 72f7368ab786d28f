//! SIGKILL before each operation of opening, appending, sealing, pruning, a change of phase and the end.

use crate::record::{DATA, Promise, Recording, Run, drive};
use crate::table::Harm;
use crate::torture::{State, Torture};

/// What comes before, and the run that is killed.
const SCRIPTS: [(&str, &str, &str, &str); 6] = [
    (
        "first start",
        "killed while a strand is made",
        "",
        "singles:3",
    ),
    (
        "opening",
        "killed while it opens, and at its end",
        "batch:350x60 sealed singles:9 kill",
        "singles:1",
    ),
    (
        "sealing",
        "killed while it seals",
        "batch:280x60 singles:3",
        "batch:350x60 sealed singles:2",
    ),
    (
        "first signature",
        "killed while it begins to sign",
        "singles:3",
        "sign singles:1 sign",
    ),
    (
        "signing",
        "killed while it signs, seals and prunes",
        "singles:3 sign batch:350x200 sealed sign",
        "sign batch:350x200 sealed sign prune:40000 sign singles:2 sign",
    ),
    (
        "pruning",
        "killed while it prunes or changes the phase",
        "phase:1 batch:350x200 sealed batch:350x200 sealed",
        "phase:2 phase:3 prune:40000 singles:2",
    ),
];

impl Torture<'_> {
    pub(super) async fn kills(&mut self) -> anyhow::Result<()> {
        for (name, row, before, killed) in SCRIPTS {
            let base = self.tools.folder(&format!("{name} base"))?;
            let base_log = self.tools.path(&format!("{name} base.log"));
            let first = Run::of(before);
            if !before.is_empty() {
                drive(self.tools, &base, Some(&base_log), &first)?;
            }
            let all = self.killed(name, &base, &base_log, killed, None)?.1;
            let mut rng = self.rng(name);
            let tools = &*self;
            let mut places: Vec<usize> = (0..all).collect();
            rng.shuffle(&mut places);
            let states: Vec<_> = places
                .into_iter()
                .take(self.size.kills)
                .enumerate()
                .map(|(n, at)| {
                    let made =
                        tools.killed(&format!("{name} {n}"), &base, &base_log, killed, Some(at));
                    async move {
                        let (folder, _, promise) = made?;
                        Ok(State {
                            name: format!("{name} killed before operation {at}"),
                            folder,
                            promise,
                        })
                    }
                })
                .collect();
            self.check_all(row, Harm::None, states).await;
        }
        Ok(())
    }

    /// Runs on a copy of the base, to its end or up to an operation: the folder, how many operations, what was promised.
    fn killed(
        &self,
        name: &str,
        base: &std::path::Path,
        base_log: &std::path::Path,
        steps: &'static str,
        at: Option<usize>,
    ) -> anyhow::Result<(std::path::PathBuf, usize, Promise)> {
        let folder = self.tools.folder(name)?;
        let log = self.tools.path(&format!("{name}.log"));
        std::fs::write(&log, [])?;
        let mut before = 0;
        if base.join(DATA).exists() {
            crate::tools::copy(base, &folder)?;
            std::fs::copy(base_log, &log)?;
            before = Recording::read(&log, folder.clone())?.log.ops.len();
        }
        let mut run = Run::of(steps);
        if let Some(at) = at {
            run = run.with("TORTURE_KILL_AT", at);
        }
        drive(self.tools, &folder, Some(&log), &run)?;
        let recording = Recording::read(&log, folder.clone())?;
        let promise = recording.promise(usize::MAX);
        std::fs::remove_file(&log)?;
        Ok((folder, recording.log.ops.len() - before, promise))
    }
}
