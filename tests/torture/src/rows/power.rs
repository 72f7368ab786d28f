//! Power cuts: states that a disk may be in, by the recorded operations and the rules of a file system.

use crate::model::{Fate, Model, Rules};
use crate::record::{Recording, Run};
use crate::table::Harm;
use crate::torture::{State, Torture, materialize};

/// Runs whose operations are cut.
pub(super) fn scripts() -> Vec<(&'static str, Vec<Run>)> {
    vec![
        (
            "first",
            vec![
                Run::of("singles:5"),
                Run::of("singles:3 kill"),
                Run::of("singles:2 batch:300x100"),
            ],
        ),
        (
            "seal",
            vec![
                Run::of("batch:350x60 singles:3 sealed batch:350x60 sealed singles:3 kill"),
                Run::of("singles:3 batch:350x60 sealed singles:2"),
            ],
        ),
        (
            "large",
            vec![
                Run::of("singles:20 batch:5000x700 singles:3 kill"),
                Run::of("singles:3"),
            ],
        ),
        (
            "prune",
            vec![
                Run::of(
                    "phase:1 batch:350x200 sealed singles:2 phase:2 batch:350x200 sealed phase:3 prune:60000 singles:3",
                ),
                Run::of("batch:350x200 sealed prune:40000 singles:3 kill"),
            ],
        ),
        (
            "load",
            vec![
                Run::of("load:8x20 kill").with("TORTURE_SLOW_MS", 3),
                Run::of("load:4x10 singles:3"),
            ],
        ),
        (
            "sign",
            vec![
                Run::of("singles:2 sign singles:3 sign batch:350x60 sealed sign singles:2 kill"),
                Run::of("sign batch:350x200 sealed sign prune:40000 sign singles:3 kill"),
                Run::of("singles:1 sign singles:2 sign"),
            ],
        ),
        (
            "clock",
            vec![
                Run::of("singles:5 batch:50x60").with("TORTURE_CLOCK_S", 3 * 86_400),
                Run::of("singles:5 kill"),
                Run::of("singles:5 batch:350x60 sealed")
                    .with("TORTURE_CLOCK_S", -3 * 86_400)
                    .with("TORTURE_CLOCK_AT", 20),
            ],
        ),
    ]
}

impl Torture<'_> {
    pub(super) async fn power(&mut self) -> anyhow::Result<()> {
        for (name, runs) in scripts() {
            let recording = Recording::make(self.tools, name, &runs)?;
            for (rules, row) in [
                (Rules::Ext4, "power cut, ext4 with ordered data"),
                (
                    Rules::Journal,
                    "power cut, journalled names, contents lost, torn or zero",
                ),
                (
                    Rules::Posix,
                    "power cut, POSIX without a sync of the folder",
                ),
            ] {
                self.cuts(&recording, name, rules, row, 0, self.size.cuts)
                    .await;
            }
        }
        Ok(())
    }

    /// Cuts a recording at random operations from `first` on.
    pub(super) async fn cuts(
        &mut self,
        recording: &Recording,
        name: &str,
        rules: Rules,
        row: &str,
        first: usize,
        count: usize,
    ) {
        let model = Model::new(&recording.log, &recording.root);
        let places = model.cuts();
        let begin = places.partition_point(|place| *place < first);
        let mut rng = self.rng(&format!("{name}{rules:?}"));
        let tools = self.tools;
        let states = (0..count).map(|n| {
            let cut = places[rng.usize(begin..places.len())];
            let fate = Fate::ALL[rng.usize(..Fate::ALL.len())];
            let (model, mut rng) = (&model, rng.fork());
            async move {
                let folder = tools.folder(&format!("{name}-{rules:?}-{n}"))?;
                materialize(&model.state(cut, rules, fate, &mut rng), &folder)?;
                Ok(State {
                    name: format!("{name} {rules:?} before operation {cut} {fate:?}"),
                    folder,
                    promise: recording.promise(cut),
                })
            }
        });
        let states = states.collect();
        self.check_all(row, Harm::None, states).await;
    }
}
