//! A sidecar without a cluster obeys a file as it would obey a cluster: one edited line changes the phase, a wrong edit
//! changes nothing, and what blocks is named.

use std::fs;
use std::path::PathBuf;

use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Sidecar, Supabase};
use serde_json::Value;
use tempfile::TempDir;

use crate::mirror::health;

/// A sidecar and its file.
pub(crate) struct Laptop {
    pub(crate) sidecar: Sidecar,
    folder: TempDir,
}

/// The documents of a file.
fn documents(supabase: Option<&Supabase>) -> String {
    let spec = "spec:\n  phase: DualWrite  # edit this line\n";
    let head = "apiVersion: boboyka.sapixdb.com/v1alpha1\nkind: BoboykaIntegration\nmetadata: {name: laptop}\n";
    let Some(supabase) = supabase else {
        return format!("{head}{spec}");
    };
    let (url, key) = (supabase.url(), supabase.jwt_key());
    format!(
        "{head}{spec}  supabase:\n    secretRef: {{name: supabase}}\n    mirror: {{ackTimeout: 500ms}}\n\
         ---\napiVersion: v1\nkind: Secret\nmetadata: {{name: supabase}}\nstringData:\n  url: {url}\n  key: {key}\n"
    )
}

impl Laptop {
    pub(crate) async fn start(supabase: Option<&Supabase>) -> Self {
        Self::start_of(&documents(supabase), &[]).await
    }

    /// Without Supabase, with more flags.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        Self::start_of(&documents(None), flags).await
    }

    async fn start_of(text: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("integration.yaml");
        fs::write(&file, text).unwrap();
        let file = ["--integration", file.to_str().unwrap()];
        let sidecar = Sidecar::start_with(&[&file, flags].concat(), &[]).await;
        Self { sidecar, folder }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("integration.yaml")
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }

    /// Edits the file as most editors do: by a rename over it.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let (text, new) = (self.text(), self.folder.path().join("new"));
        assert!(text.contains(from), "{text}");
        fs::write(&new, text.replace(from, to)).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    pub(crate) fn status_file(&self) -> String {
        fs::read_to_string(self.file().with_extension("status.yaml")).unwrap_or_default()
    }

    pub(crate) async fn status(&self) -> Value {
        self.sidecar.get("/v1/boboyka/status").await
    }

    pub(crate) async fn shows(&self, what: impl Fn(&Value) -> bool) -> Value {
        let there = || async { what(&self.status().await) };
        wait_until(GUARD, there, || self.told()).await;
        self.status().await
    }

    /// Waits until the strand obeys a phase, which the page's text begins with its number.
    pub(crate) async fn obeys(&self, number: u8) {
        let begin = format!("Phase {number}");
        self.shows(|it| {
            it["integration_phase"]
                .as_str()
                .unwrap()
                .starts_with(&begin)
        })
        .await;
    }

    /// Waits until a gate blocks and gives this evidence, in the API and in the status file.
    pub(crate) async fn is_blocked_by(&self, gate: &str, evidence: &str) {
        let blocks = |status: &Value| {
            let gates = status["integration"]["transition"]["gates"].as_array();
            gates.is_some_and(|gates| {
                gates.iter().any(|one| {
                    let message = one["message"].as_str().unwrap();
                    one["passed"] == false && one["name"] == gate && message.contains(evidence)
                })
            })
        };
        self.shows(blocks).await;
        let written = || async { self.status_file().contains("PhaseGateClosed") };
        wait_until(GUARD, written, || self.told()).await;
    }

    pub(crate) fn told(&self) -> String {
        format!("{}\n{}", self.status_file(), self.sidecar.log())
    }
}

#[tokio::test]
async fn a_wrong_edit_changes_nothing_and_says_so() {
    let laptop = Laptop::start(None).await;
    laptop.edit("phase: DualWrite", "phase: MigrateInternals");
    laptop.obeys(2).await;
    for (from, to, why) in [
        (
            "MigrateInternals",
            "Migrate",
            "line 5: spec.phase: unknown variant `Migrate`",
        ),
        (
            "phase: Migrate ",
            "fase: CutOver ",
            "line 5: spec.fase: is not a field",
        ),
        (
            "fase: CutOver ",
            "phase: MigrateInternals\n  retention: {maxAge: 1s} ",
            "line 6: spec.retention.maxAge: must be",
        ),
        ("maxAge: 1s", "maxAge: [", "line "),
    ] {
        laptop.edit(from, to);
        let said = |status: &Value| {
            let error = status["integration"]["error"].as_str();
            error.is_some_and(|error| error.starts_with(why))
        };
        laptop.shows(said).await;
        laptop.sidecar.ingest("agent_health", &health(1)).await;
        let log = || async { laptop.sidecar.log().contains(why) };
        wait_until(GUARD, log, || laptop.told()).await;
        let file = || async { laptop.status_file().contains("InvalidSpec") };
        wait_until(GUARD, file, || laptop.told()).await;
        laptop.obeys(2).await;
    }
    fs::write(
        laptop.file(),
        documents(None).replace("DualWrite", "CutOver"),
    )
    .unwrap();
    laptop.obeys(3).await;
    laptop
        .shows(|it| it["integration"]["error"].is_null())
        .await;
    assert!(!laptop.status_file().contains("Stalled"));
}

#[tokio::test]
async fn a_file_that_is_gone_or_no_file_changes_nothing_and_a_restart_keeps_the_phase() {
    let mut laptop = Laptop::start(None).await;
    laptop.edit("phase: DualWrite", "phase: MigrateInternals");
    laptop.obeys(2).await;
    let kept = laptop.folder.path().join("kept");
    fs::rename(laptop.file(), &kept).unwrap();
    let error = |status: &Value| status["integration"]["error"].is_string();
    laptop.shows(error).await;
    fs::create_dir(laptop.file()).unwrap();
    laptop
        .shows(|it| {
            it["integration"]["error"]
                .as_str()
                .unwrap()
                .contains("no file")
        })
        .await;
    laptop.sidecar.kill_9();
    laptop.sidecar.restart().await;
    laptop.shows(error).await;
    laptop.sidecar.ingest("agent_health", &health(1)).await;
    laptop.obeys(2).await;
    fs::remove_dir(laptop.file()).unwrap();
    fs::rename(&kept, laptop.file()).unwrap();
    laptop
        .shows(|it| it["integration"]["error"].is_null())
        .await;
    laptop.edit("phase: MigrateInternals", "phase: DualWrite");
    laptop.obeys(1).await;
}

#[tokio::test]
async fn a_kill_between_an_edit_and_its_effect_loses_neither_and_doubles_nothing() {
    let mut laptop = Laptop::start(None).await;
    let steps = [
        "MigrateInternals",
        "CutOver",
        "DualWrite",
        "MigrateInternals",
    ];
    let mut from = "DualWrite";
    for (round, to) in steps.into_iter().enumerate() {
        laptop.edit(&format!("phase: {from}"), &format!("phase: {to}"));
        if round % 2 == 1 {
            // The look that obeys may be under way.
            laptop.sidecar.ingest("agent_health", &health(1)).await;
        }
        laptop.sidecar.kill_9();
        laptop.sidecar.restart().await;
        let number = ["DualWrite", "MigrateInternals", "CutOver"]
            .iter()
            .position(|it| *it == to);
        laptop
            .obeys(u8::try_from(number.unwrap()).unwrap() + 1)
            .await;
        from = to;
    }
    let events = laptop
        .sidecar
        .get("/v1/boboyka/events?limit=100&include=data")
        .await;
    let changes = events["events"].as_array().unwrap().iter();
    let changes = changes.filter(|it| it["data"]["event"] == "phase_changed");
    let mut to: Vec<_> = changes
        .map(|it| it["data"]["metadata"]["to"].as_str().unwrap())
        .collect();
    to.reverse();
    assert_eq!(to, steps);
    assert_eq!(laptop.sidecar.get("/v1/boboyka/verify").await["ok"], true);
}
