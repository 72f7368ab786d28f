//! A clock that was days ahead, two processes on one folder, slow syncs under the sidecar.

use crate::check::{Outcome, Subject, check};
use crate::record::{DATA, Promise, Recording, Run, preload};
use crate::table::Harm;
use crate::torture::{State, Torture};

impl Torture<'_> {
    pub(super) async fn others(&mut self) -> anyhow::Result<()> {
        let ahead = Run::of("singles:5").with("TORTURE_CLOCK_S", 3 * 86_400);
        let recording = Recording::make(self.tools, "clock ahead", &[ahead, Run::of("singles:2")])?;
        let state = State {
            name: "a clock that was days ahead".to_owned(),
            folder: recording.root.clone(),
            promise: recording.promise(usize::MAX),
        };
        let outcome = self.clock(&state).await.unwrap_or_else(Outcome::Wrong);
        self.other("a clock that was days ahead is told", &state, &outcome);

        let recording = Recording::make(self.tools, "two", &[Run::of("singles:5")])?;
        let state = State {
            name: "two processes".to_owned(),
            folder: recording.root.clone(),
            promise: recording.promise(usize::MAX),
        };
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
        for round in 0..5 {
            let (a, b, c) = tokio::join!(
                subject.ingest(round),
                subject.ingest(round),
                subject.ingest(round)
            );
            for answer in [a, b, c] {
                let (status, body) = answer?;
                let (seq, hash) = (body["seq"].as_u64(), body["record_hash"].as_str());
                let (200, Some(seq), Some(hash)) = (status, seq, hash) else {
                    return Err(format!("an ingest gets {status}: {body}"));
                };
                promise.acked.push((seq, hash.to_owned()));
            }
        }
        subject.process().kill();
        Ok(check(self.tools, &data, &promise).await)
    }
}
