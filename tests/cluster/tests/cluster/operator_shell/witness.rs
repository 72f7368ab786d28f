//! The operator as a witness: of a real sidecar's log over restarts and a volume that was set back, and of requests that a
//! hostile outsider makes.

use std::collections::BTreeMap;
use std::path::Path;

use boboyka_cluster::wait_for;
use boboyka_crds::{BoboykaIntegration, BoboykaStrand, ContradictionKind, names};
use boboyka_tests::process::{GUARD, free_address, wait_until};
use boboyka_tests::verifiers::{Litewitness, WITNESS_KEY, add_checkpoint};
use boboyka_tests::{Log, Sidecar, client};
use boboyka_tlog::witness::{Answer, monitoring_path};
use boboyka_tlog::{Checkpoint, Note, Policy};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::installed::{Installed, LIMIT, labelled};
use super::reconcile::condition;
use super::replica::Replica;
use crate::shared::run;

const SECRET: &str = "boboyka-operator-witness";
const STRAND: &str = "0196c150-0000-7000-8000-000000000001";

/// The witnesses of one installation, which share a key.
struct Witnesses {
    folder: TempDir,
}

impl Witnesses {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn arguments(&self) -> ([String; 3], String) {
        let address = free_address();
        let file = self.folder.path().join("key");
        let url = format!("http://{address}");
        let arguments = [
            format!("--witness-key-file={}", file.display()),
            format!("--witness-listen={address}"),
            format!("--witness-url={url}"),
        ];
        (arguments, url)
    }

    /// Another replica, and its URL.
    fn replica(&self, installed: &Installed, name: &str) -> (Replica, String) {
        let (arguments, url) = self.arguments();
        let more = arguments.each_ref().map(String::as_str);
        (installed.replica(name, &more), url)
    }

    /// The replica that leads and that the API server calls, and its URL.
    async fn operated(&self, installed: &Installed) -> (Replica, String) {
        let (arguments, url) = self.arguments();
        let more = arguments.each_ref().map(String::as_str);
        let replica = installed.operated(&more).await;
        // The Job of the chart does this, and a second time changes nothing.
        for name in ["witness-key", "witness-key-again"] {
            let job = installed.replica(name, &["--make-witness-key"]);
            let (status, log) = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
            assert!(status.success(), "{log}");
        }
        self.mount(installed).await;
        serves(&url).await;
        (replica, url)
    }

    /// Plays the kubelet: what is in the Secret is in the file.
    async fn mount(&self, installed: &Installed) {
        let secrets = installed.namespace.api::<Secret>();
        wait_for("the Secret", LIMIT, || async {
            Ok(secrets.get_opt(SECRET).await?.is_some())
        })
        .await
        .unwrap();
        let secret = secrets.get(SECRET).await.unwrap();
        assert_eq!(secret.immutable, Some(true));
        let key = &secret.data.unwrap()["key"];
        std::fs::write(self.folder.path().join("key"), &key.0).unwrap();
    }
}

/// Waits until a witness has its key.
async fn serves(url: &str) {
    let ready = || async {
        let answer = client().get(format!("{url}/vkey")).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    wait_until(GUARD, ready, || format!("{url} has no key")).await;
}

/// A pod with a strand, and the environment of its sidecar.
async fn environment(installed: &Installed) -> Vec<(&'static str, String)> {
    let pod = installed.namespace.create::<Pod>(labelled()).await.unwrap();
    wait_for("the holder", LIMIT, || async {
        let strands = installed.strands().await;
        Ok(strands
            .iter()
            .any(|one| super::installed::holder_of(one) == pod.uid().as_deref()))
    })
    .await
    .unwrap();
    let strand = installed.strands().await.remove(0);
    let kubeconfig = installed.cluster.kubeconfig().display().to_string();
    vec![
        (
            names::NAMESPACE_VARIABLE,
            installed.namespace.name().to_owned(),
        ),
        (names::INTEGRATION_VARIABLE, "boboyka".to_owned()),
        (names::STRAND_VARIABLE, strand.name_any()),
        (names::POD_UID_VARIABLE, pod.uid().unwrap()),
        ("KUBECONFIG", kubeconfig),
    ]
}

async fn sidecar(installed: &Installed) -> Sidecar {
    let environment = environment(installed).await;
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    Sidecar::start_with(&[], &environment).await
}

async fn ingest(sidecar: &Sidecar, count: u64) {
    for n in 0..count {
        let data = json!({"agent_id": "a", "event": "e", "n": n});
        sidecar.ingest("audit_log", &data).await;
    }
}

/// Waits until the newest cosigned checkpoint is of this origin and covers this many records.
async fn cosigned(sidecar: &Sidecar, origin: &str, size: u64) -> Note {
    let newest = || async {
        let (status, body) = sidecar.try_get("/v1/boboyka/log/cosigned").await;
        let note: Note = body.as_str().filter(|_| status == 200)?.parse().ok()?;
        let checkpoint = Checkpoint::of_note(&note).unwrap();
        (checkpoint.origin().ends_with(origin) && checkpoint.size() >= size).then_some(note)
    };
    let is_there = || async { newest().await.is_some() };
    wait_until(GUARD, is_there, || sidecar.log()).await;
    newest().await.unwrap()
}

/// The policy of the integration with the log of a strand.
async fn policy(installed: &Installed, log: &str) -> String {
    let api = installed.namespace.api::<BoboykaIntegration>();
    let status = api.get("boboyka").await.unwrap().status.unwrap();
    format!("log {log}\n{}", status.witness_policy.unwrap())
}

async fn vkey(sidecar: &Sidecar) -> String {
    let key = sidecar.get("/v1/boboyka/log/vkey").await;
    key.as_str().unwrap().trim_end().to_owned()
}

fn copy_folder(from: &Path, to: &Path) {
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn a_sidecar_is_cosigned_over_restarts_and_a_volume_that_was_set_back_is_named() {
    run(async {
        let installed = Installed::new().await;
        let witnesses = Witnesses::new();
        let (replica, _) = witnesses.operated(&installed).await;
        let mut sidecar = sidecar(&installed).await;
        ingest(&sidecar, 3).await;
        let note = cosigned(&sidecar, "/1", 3).await;
        let first = vkey(&sidecar).await;
        let accepts: Policy = policy(&installed, &first).await.parse().unwrap();
        assert_eq!(accepts.verify(&note).unwrap().1.len(), 2);

        // The next operator goes on from what the first remembered.
        drop(replica);
        let _next = witnesses.operator_after(&installed).await;
        assert!(sidecar.terminate());
        let older = tempfile::tempdir().unwrap();
        copy_folder(&sidecar.data_dir(), &older.path().join("data"));
        sidecar.restart().await;
        ingest(&sidecar, 5).await;
        let newest = cosigned(&sidecar, "/1", 8).await;
        assert!(sidecar.terminate());

        let verify = |note: &Note, policy: &str| {
            let folder = tempfile::tempdir().unwrap();
            let (checkpoint, file) = (folder.path().join("c"), folder.path().join("p"));
            std::fs::write(&checkpoint, note.to_string()).unwrap();
            std::fs::write(&file, policy).unwrap();
            let mut command = std::process::Command::new(boboyka_tests::sidecar::binary());
            command
                .arg("verify")
                .arg("--data-dir")
                .arg(sidecar.data_dir());
            command.arg("--checkpoint").arg(&checkpoint);
            let output = command.arg("--policy").arg(&file).output().unwrap();
            (
                output.status.code(),
                String::from_utf8(output.stdout).unwrap(),
            )
        };
        let text = policy(&installed, &first).await;
        let (code, said) = verify(&newest, &text);
        assert_eq!(code, Some(0), "{said}");
        let stays = installed.namespace.api::<BoboykaStrand>();
        let stays = stays.list(&ListParams::default()).await.unwrap().items;
        assert_eq!(stays[0].spec.contradiction, None, "no false alarm");

        // The older copy of the volume takes its place.
        std::fs::remove_dir_all(sidecar.data_dir()).unwrap();
        copy_folder(&older.path().join("data"), &sidecar.data_dir());
        let (code, said) = verify(&newest, &text);
        assert!(code == Some(1) && said.contains("REWOUND"), "{said}");
        sidecar.restart().await;
        let note = cosigned(&sidecar, "/2", 4).await;
        let accepts: Policy = policy(&installed, &vkey(&sidecar).await)
            .await
            .parse()
            .unwrap();
        assert!(accepts.verify(&note).is_ok());
        let message = condition(&installed, "boboyka", "ChainIntact", "False/LogRewound").await;
        assert!(message.contains("8 records of the log"), "{message}");
        let strand = installed.strand().await;
        let found = strand.spec.contradiction.unwrap();
        assert_eq!((found.kind, found.size), (ContradictionKind::Rewound, 8));
        let events = installed.namespace.api::<Event>();
        wait_for("the Event", LIMIT, || async {
            let events = events.list(&ListParams::default()).await?;
            Ok(events
                .iter()
                .any(|one| one.reason.as_deref() == Some("LogRewound")))
        })
        .await
        .unwrap();
        let records = sidecar.get("/v1/boboyka/events?include=data").await;
        assert!(records.to_string().contains("log_incarnation"), "{records}");
    });
}

impl Witnesses {
    /// The operator that comes after the first one was killed.
    async fn operator_after(&self, installed: &Installed) -> Replica {
        // Sidecars know the URL of the first; a Service would lead to the next.
        let (arguments, url) = self.arguments();
        let more = arguments.each_ref().map(String::as_str);
        let replica = installed.replica("next", &more);
        installed.call(&[&replica]).await;
        installed.admitted().await;
        replica.leads_within(LIMIT).await;
        serves(&url).await;
        replica
    }
}

#[test]
fn a_witness_elsewhere_cosigns_beside_the_operator_and_the_quorum_wants_both() {
    run(async {
        let installed = Installed::new().await;
        let witnesses = Witnesses::new();
        let (_replica, _) = witnesses.operated(&installed).await;
        let sidecar = sidecar(&installed).await;
        ingest(&sidecar, 2).await;
        let alone = cosigned(&sidecar, "/1", 2).await;
        let log = vkey(&sidecar).await;
        let elsewhere = Litewitness::start(&[&log]).await;
        let one = json!({"name": "w1", "vkey": WITNESS_KEY, "url": elsewhere.url("")});
        let patch = Patch::Merge(json!({"spec": {"audit": {"witnesses": [one]}}}));
        let api = installed.namespace.api::<BoboykaIntegration>();
        let parameters = PatchParams::default();
        api.patch("boboyka", &parameters, &patch).await.unwrap();
        ingest(&sidecar, 1).await;
        let by_both = || async {
            let note = cosigned(&sidecar, "/1", 2).await;
            let accepts: Policy = policy(&installed, &log).await.parse().unwrap();
            accepts.witnesses.len() == 2 && accepts.verify(&note).is_ok()
        };
        wait_until(GUARD, by_both, || sidecar.log()).await;
        let accepts: Policy = policy(&installed, &log).await.parse().unwrap();
        assert!(
            accepts.verify(&alone).is_err(),
            "the operator alone is no quorum"
        );
        condition(
            &installed,
            "boboyka",
            "CheckpointsCosigned",
            "True/Cosigned",
        )
        .await;
    });
}

/// A strand whose sidecar reports a log.
async fn reported(installed: &Installed, log: &Log, origin: &str) {
    let api = installed.namespace.api::<BoboykaStrand>();
    if api.get_opt("boboyka-0").await.unwrap().is_none() {
        let strand = json!({"metadata": {"name": "boboyka-0"}, "spec": {"integration": "boboyka", "claimName": "boboyka-strand-boboyka-0"}});
        installed
            .namespace
            .create::<BoboykaStrand>(strand)
            .await
            .unwrap();
    }
    let status = json!({"status": {
        "reportedAt": "2026-01-01T00:00:00Z", "strandId": STRAND,
        "log": {"origin": origin, "vkey": log.vkey(), "size": 1},
    }});
    let parameters = PatchParams::default();
    api.patch_status("boboyka-0", &parameters, &Patch::Merge(&status))
        .await
        .unwrap();
}

fn origin(number: u64) -> String {
    format!("{}/{STRAND}/{number}", names::ORIGINS)
}

async fn cosigns(url: &str, log: &Log, old: u64, size: u64) -> (u16, Answer) {
    add_checkpoint(url, &log.request(old, size).to_string()).await
}

/// Asks until the replica knows of the log.
async fn begins(url: &str, log: &Log, size: u64) {
    let begun = || async { cosigns(url, log, 0, size).await.0 == 200 };
    wait_until(GUARD, begun, || format!("{url} does not cosign")).await;
}

/// What a witness that has cosigned size 10 answers to requests of any kind.
async fn answers_by_the_table(url: &str, log: &Log) {
    let forged = Log::of(600).under("elsewhere.example/log");
    for (body, status) in [
        (String::new(), 400),
        ("old 10\n\nnonsense\n".to_owned(), 400),
        ("old -1\n\n".to_owned(), 400),
        ("x".repeat(100_000), 413),
        (forged.request(0, 10).to_string(), 404),
        (
            log.request(10, 20).to_string().replace("old 10", "old 30"),
            400,
        ),
        (log.request(5, 20).to_string(), 409),
        (log.request(10, 20).to_string().replace("\nold", "\n"), 200),
    ] {
        let (found, answer) = add_checkpoint(url, &body).await;
        assert_eq!(found, status, "{answer:?}: {}", &body[..body.len().min(80)]);
    }
}

#[test]
fn whoever_asks_gets_one_root_for_one_size_of_two_replicas_and_after_restarts() {
    run(async {
        let installed = Installed::new().await;
        let witnesses = Witnesses::new();
        let (first, one) = witnesses.operated(&installed).await;
        let (_second, two) = witnesses.replica(&installed, "second");
        serves(&two).await;
        let log = Log::of(600).under(&origin(1));
        assert_eq!(cosigns(&one, &log, 0, 10).await.0, 404, "nobody reports it");
        reported(&installed, &log, &origin(1)).await;
        begins(&one, &log, 10).await;
        answers_by_the_table(&two, &log).await;
        let (status, answer) = cosigns(&two, &log, 5, 20).await;
        assert_eq!((status, answer), (409, Answer::LastSize(20)));

        // Two histories at once, one at each replica: one of them wins, and goes on.
        let fork = Log::forked(20, 600).under(&origin(1));
        let (left, right) = tokio::join!(cosigns(&one, &log, 20, 30), cosigns(&two, &fork, 20, 30));
        let mut statuses = [left.0, right.0];
        statuses.sort_unstable();
        assert!(
            statuses == [200, 409] || statuses == [200, 422],
            "{left:?} {right:?}"
        );
        let (winner, loser) = if left.0 == 200 {
            (&log, &fork)
        } else {
            (&fork, &log)
        };
        let again = cosigns(&one, loser, 30, 30).await;
        assert_eq!(again.0, 422, "{again:?}");
        let strand = installed
            .namespace
            .api::<BoboykaStrand>()
            .get("boboyka-0")
            .await
            .unwrap();
        let found = strand.spec.contradiction.unwrap();
        assert_eq!((found.kind, found.size), (ContradictionKind::Forked, 30));

        // A monitor sees the newest with the log's own signature.
        let url = format!("{two}/{}", monitoring_path(&origin(1)));
        let shown = client()
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let shown: Note = shown.parse().unwrap();
        assert_eq!(shown.text(), winner.checkpoint(30).text());
        assert_eq!(
            shown.verify(&[log.vkey().parse().unwrap()]).unwrap().len(),
            1
        );

        // A replica that is restarted remembers, and a deleted strand is not forgotten.
        drop(first);
        let strands = installed.namespace.api::<BoboykaStrand>();
        strands
            .delete("boboyka-0", &DeleteParams::default())
            .await
            .unwrap();
        let (third, three) = witnesses.replica(&installed, "third");
        serves(&three).await;
        assert_eq!(cosigns(&three, loser, 0, 40).await.1, Answer::LastSize(30));
        assert_eq!(cosigns(&three, loser, 30, 40).await.0, 422);
        assert_eq!(cosigns(&three, winner, 30, 40).await.0, 200);
        let memory = memories(&installed).await;
        assert_eq!(memory.len(), 1, "{memory:?}");
        tell_the_cost(&third, &three, winner).await;
        assert!(memory[STRAND].starts_with("1 40 "), "{memory:?}");
    });
}

/// Prints what requests that need no write cost.
async fn tell_the_cost(replica: &Replica, url: &str, log: &Log) {
    let before = cpu_ticks(replica.pid());
    for _ in 0..500 {
        assert_eq!(cosigns(url, log, 40, 40).await.0, 200);
    }
    let ticks = cpu_ticks(replica.pid()) - before;
    say!("500 requests to the witness took {ticks} ticks of 10 ms in this build");
}

/// What a process has taken of the CPU.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11..13]
        .iter()
        .map(|one| one.parse::<u64>().unwrap())
        .sum()
}

/// What all `ConfigMap`s remember, by strand.
async fn memories(installed: &Installed) -> BTreeMap<String, String> {
    let maps = installed.namespace.api::<ConfigMap>();
    let maps = maps.list(&ListParams::default()).await.unwrap().items;
    let ours = maps
        .into_iter()
        .filter(|map| map.name_any().starts_with("boboyka-operator-witness-"));
    ours.flat_map(|map| map.data.unwrap_or_default()).collect()
}

#[test]
fn an_edit_of_the_integration_changes_who_is_asked() {
    run(async {
        let installed = Installed::new().await;
        let witnesses = Witnesses::new();
        let (_replica, _) = witnesses.operated(&installed).await;
        let edit = |audit: Value| {
            let api = installed.namespace.api::<BoboykaIntegration>();
            async move {
                let patch = Patch::Merge(json!({"spec": {"audit": audit}}));
                api.patch("boboyka", &PatchParams::default(), &patch).await
            }
        };
        let wrong =
            json!({"witnesses": [{"name": "w1", "vkey": "nonsense", "url": "https://w.example"}]});
        let refused = edit(wrong).await.unwrap_err().to_string();
        assert!(refused.contains("spec.audit.witnesses[].vkey"), "{refused}");
        let key = WITNESS_KEY;
        let one = json!({"name": "w1", "vkey": key, "url": "http://127.0.0.1:1"});
        edit(json!({"witnesses": [one], "quorum": "any"}))
            .await
            .unwrap();
        let has = |wanted: &'static [&'static str], none: &'static str| {
            let api = installed.namespace.api::<BoboykaIntegration>();
            async move {
                wait_for("the policy", LIMIT, || async {
                    let status = api.get("boboyka").await?.status.unwrap_or_default();
                    let policy = status.witness_policy.unwrap_or_default();
                    Ok(wanted.iter().all(|part| policy.contains(part)) && !policy.contains(none))
                })
                .await
                .unwrap();
            }
        };
        has(
            &[
                "witness operator ",
                "witness w1 ",
                "group witnesses any operator w1\n",
            ],
            "all",
        )
        .await;
        edit(json!({"operatorWitness": false, "quorum": "all"}))
            .await
            .unwrap();
        has(&["witness w1 ", "group witnesses all w1\n"], "operator").await;
    });
}
