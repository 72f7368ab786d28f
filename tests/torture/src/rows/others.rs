//! A clock that was days ahead, two processes on one folder, slow syncs under the sidecar.

use crate::check::{Outcome, check};
use crate::record::{DATA, Promise, Recording, Run, preload};
use crate::subject::Subject;
use crate::table::Harm;
use crate::torture::{State, Torture};

impl Torture<'_> {
    pub(super) async fn others(&mut self) -> anyhow::Result<()> {
        let ahead = Run::of("singles:5").with("TORTURE_CLOCK_S", 3 * 86_400);
        let recording = Recording::make(self.tools, "clock ahead", &[ahead, Run::of("singles:2")])?;
        let state = whole("a clock that was days ahead", recording);
        let outcome = self.clock(&state).await.unwrap_or_else(Outcome::Wrong);
        self.other("a clock that was days ahead is told", &state, &outcome);

        let recording = Recording::make(self.tools, "two", &[Run::of("singles:5")])?;
        let state = whole("two processes", recording);
        let outcome = self.two(&state).await.unwrap_or_else(Outcome::Wrong);
        self.other("two processes on one folder", &state, &outcome);

        for n in 0..self.size.faults {
            let folder = self.tools.folder(&format!("slow {n}"))?;
            let outcome = self.slow(&folder).await.unwrap_or_else(Outcome::Wrong);
            let state = State {
                name: format!("slow {n}"),
                folder,
                promise: Promise::default(),
            };
            self.other(
                "slow syncs, the sidecar killed under load",
                &state,
                &outcome,
            );
        }
        Ok(())
    }

    fn other(&mut self, row: &str, state: &State, outcome: &Outcome) {
        let before = state.folder.clone();
        self.count(row, Harm::None, state, &before, outcome, true);
    }

    async fn clock(&self, state: &State) -> Result<Outcome, String> {
        const DAY_MS: u64 = 86_400_000;
        let data = state.folder.join(DATA);
        let subject = Subject::start(self.tools, &data, |_| {}).await?;
        let (_, status) = subject.get("/v1/boboyka/status").await?;
        let ahead = status["clock"]["ahead_ms"].as_u64().unwrap_or_default();
        if ahead < 2 * DAY_MS {
            return Err(format!("the status says {}", status["clock"]));
        }
        drop(subject);
        Ok(check(self.tools, &data, &state.promise).await)
    }

    async fn two(&self, state: &State) -> Result<Outcome, String> {
        let data = state.folder.join(DATA);
        let first = Subject::start(self.tools, &data, |_| {}).await?;
        match Subject::start(self.tools, &data, |_| {}).await {
            Ok(_) => return Err("a second process opened the strand".to_owned()),
            Err(log) if log.contains("in use") => {}
            Err(log) => return Err(log),
        }
        let (status, receipt) = first.ingest(1).await?;
        if status != 200 {
            return Err(format!("the first process answers {status}: {receipt}"));
        }
        drop(first);
        Ok(check(self.tools, &data, &state.promise).await)
    }

    async fn slow(&self, folder: &std::path::Path) -> Result<Outcome, String> {
        let data = folder.join(DATA);
        let slow = [("TORTURE_SLOW_MS", "20".to_owned())];
        let prepare = |command: &mut std::process::Command| {
            preload(command, self.tools, folder, None, &slow);
        };
        let mut subject = Subject::start(self.tools, &data, prepare).await?;
        let mut promise = Promise::default();
        subject.load(5, &mut promise).await?;
        subject.kill_under_load(&mut promise).await;
        Ok(check(self.tools, &data, &promise).await)
    }
}

/// What a recording leaves at its end.
fn whole(name: &str, recording: Recording) -> State {
    State {
        name: name.to_owned(),
        promise: recording.promise(usize::MAX),
        folder: recording.root,
    }
}
