//! `kubectl boboyka` on a real cluster, as people and programs use it: each test is a person's question.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use boboyka_cluster::{Cluster, wait_for};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::agents::{Agents, LABEL, LIMIT, pod_spec};
use crate::product::{cluster, root, run};

/// Where a person works: a kubeconfig whose context names the namespace, and the programs on the path.
struct Desk {
    folder: tempfile::TempDir,
    path: String,
    namespace: String,
}

impl Desk {
    fn new(cluster: &Cluster, agents: &Agents) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let namespace = agents.namespace.name().to_owned();
        let config = folder.path().join("kubeconfig");
        std::fs::copy(cluster.kubeconfig(), &config).unwrap();
        let programs = boboyka_tests::sidecar::binary();
        let path = format!(
            "{}:{}:{}",
            cluster.bin().display(),
            programs.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let desk = Self {
            folder,
            path,
            namespace,
        };
        let set = format!(
            "kubectl config set-context --current --namespace={}",
            desk.namespace
        );
        assert!(desk.run(&set).status.success());
        desk
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.folder.path());
        command
            .env("PATH", &self.path)
            .env("KUBECONFIG", self.file("kubeconfig"));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a command that ends with this code; what it printed.
    #[track_caller]
    fn ends(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that does not end with 0 told the person.
    fn complains(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    #[track_caller]
    fn json(&self, code: i32, line: &str) -> Value {
        serde_json::from_str(&self.ends(code, &format!("{line} -o json"))).unwrap()
    }
}

/// The commands of a document, each with the lines that it prints.
fn commands(document: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match (line.strip_prefix("$ "), line.starts_with("```")) {
            (_, true) => inside = line == "```console",
            (Some(command), _) if inside => commands.push((command.to_owned(), Vec::new())),
            _ if inside => commands.last_mut().unwrap().1.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn the_document_of_the_command_works() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::patient(cluster).await;
        agents.deploy("agent", 2, json!({})).await;
        for pod in agents.pods("agent", 2).await {
            agents
                .post(pod.metadata.name.as_ref().unwrap(), "bld_document")
                .await;
        }
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let desk = Desk::new(cluster, &agents);
        let document = std::fs::read_to_string(root().join("docs/kubectl.md")).unwrap();
        let mut followed = 0;
        for (command, expected) in commands(&document) {
            // The panel and dead letters have tests of their own; this machine has no place to install to.
            let is_ours = command.starts_with("kubectl boboyka");
            if !is_ours
                || ["panel", "show", "install", "retry"]
                    .iter()
                    .any(|word| command.contains(word))
            {
                continue;
            }
            let printed = desk.ends(0, &command);
            for line in &expected {
                let line = line.replace("default/", &format!("{}/", desk.namespace));
                assert!(is_printed(&line, &printed), "{command}: {line}\n{printed}");
            }
            followed += 1;
        }
        assert!(followed >= 11, "{followed}");
    });
}

/// Whether the parts of a line between ellipses are in one line of a text, in their order.
fn is_printed(line: &str, text: &str) -> bool {
    let has = |candidate: &str| {
        let mut rest = candidate;
        line.split('…').map(str::trim).all(|part| {
            let found = rest.find(part);
            rest = found.map_or("", |at| &rest[at + part.len()..]);
            found.is_some()
        })
    };
    line.is_empty() || text.lines().any(has)
}

#[test]
fn a_user_with_edit_sees_the_fleet_and_a_user_without_rights_is_told_which_are_missing() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::new(cluster, json!({})).await;
        agents.deploy("agent", 1, json!({})).await;
        let pod = agents.pod("agent").await;
        agents.post(&pod, "bld_of_jane").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        let binding = json!({
            "metadata": {"name": "jane"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
        });
        agents
            .namespace
            .create::<RoleBinding>(binding)
            .await
            .unwrap();
        let desk = Desk::new(cluster, &agents);
        wait_for("the rights to be there", LIMIT, || async {
            Ok(desk
                .run("kubectl boboyka status --as jane")
                .status
                .success())
        })
        .await
        .unwrap();
        let status = desk.json(0, "kubectl boboyka status --as jane");
        assert_eq!(status["states"], json!({"Ready": 1}));
        assert_eq!(
            desk.json(0, "kubectl boboyka verify --as jane")["verdict"],
            "Intact"
        );
        assert_eq!(
            desk.json(0, &format!("kubectl boboyka why {pod} --as jane"))["verdict"],
            "nothing is wrong with it"
        );
        let records = desk.json(0, "kubectl boboyka events --data --as jane");
        assert_eq!(records["records"][0]["data"]["build_id"], "bld_of_jane");

        let checks = desk.json(0, "kubectl boboyka check --as jane")["checks"].clone();
        let of = |name: &str| {
            checks
                .as_array()
                .unwrap()
                .iter()
                .find(|one| one["name"] == name)
                .unwrap()
                .clone()
        };
        assert_eq!(of("webhook-answers")["outcome"], "passed");
        assert_eq!(of("policies")["outcome"], "skipped");
        assert!(
            of("policies")["message"]
                .as_str()
                .unwrap()
                .starts_with("you may not list validatingadmissionpolicies")
        );

        let told = desk.complains(3, "kubectl boboyka status --as nobody");
        let missing = format!("in namespace {}: ask an administrator", desk.namespace);
        assert!(
            told.contains("you may not list boboyka") && told.contains(&missing),
            "{told}"
        );
        let viewer = "kubectl boboyka verify --as viewer";
        let told = desk.complains(3, viewer);
        assert!(
            told.contains("you may not list boboykastrands.boboyka.sapixdb.com"),
            "{told}"
        );
        let told = desk.complains(3, "kubectl boboyka phase --to MigrateInternals --as nobody");
        assert!(
            told.contains("you may not list boboykaintegrations"),
            "{told}"
        );
        report_has_no_secret(&desk, &agents);
        panel_leads_to_the_sidecar(&desk, &pod).await;
    });
}

/// A report has neither the key of Supabase, nor a record, nor a pod's token, nor the webhook's path.
fn report_has_no_secret(desk: &Desk, agents: &Agents) {
    desk.ends(0, "kubectl boboyka report --file report.tar.gz");
    let files = desk.ends(0, "tar -tzf report.tar.gz");
    for part in [
        "status.txt",
        "check.txt",
        "versions.json",
        "events.txt",
        "boboyka-sidecar.log",
        "operator.log",
        "boboykastrands/",
    ] {
        assert!(files.contains(part), "{part}: {files}");
    }
    let all = desk.ends(0, "tar -xzOf report.tar.gz");
    assert!(
        all.contains("boboyka-supabase"),
        "the name of the Secret is no secret"
    );
    let key = agents.supabase.jwt_key();
    let token = desk.ends(
        0,
        "kubectl get pods -o jsonpath='{..metadata.annotations.boboyka\\.sapixdb\\.com/admission}'",
    );
    let hook = desk.ends(
        0,
        "kubectl get mutatingwebhookconfiguration boboyka-operator -o jsonpath='{..path}'",
    );
    for secret in [
        "bld_of_jane",
        key.rsplit('.').next().unwrap(),
        token.trim(),
        hook.trim(),
    ] {
        assert!(!secret.is_empty() && !all.contains(secret), "{secret}");
    }
}

async fn panel_leads_to_the_sidecar(desk: &Desk, pod: &str) {
    let mut command = tokio::process::Command::from(desk.command(&format!(
        "exec kubectl-boboyka panel {pod} --no-open -o json"
    )));
    let mut process = command
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    let url = told["url"].as_str().unwrap();
    let page = desk.ends(0, &format!("curl -sSf -H 'accept: text/html' {url}"));
    assert!(page.contains("<html"), "{page}");
    process.kill().await.unwrap();
}

#[test]
fn dead_letters_are_listed_shown_and_sent_again_and_a_drain_waits_for_them_not() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::patient(cluster).await;
        agents.deploy("agent", 1, json!({})).await;
        let pod = agents.pod("agent").await;
        agents.wait_for_condition("Ready", "True/AsExpected").await;
        agents.post(&pod, "bld_good").await;
        agents
            .supabase
            .sql("alter table project_builds add constraint no_bad check (build_id <> 'bld_bad')");
        agents.post(&pod, "bld_bad").await;
        let desk = Desk::new(cluster, &agents);
        wait_for("the dead letter to be there", LIMIT, || async {
            Ok(desk.run("kubectl boboyka dead-letters").status.code() == Some(1))
        })
        .await
        .unwrap();
        let listed = desk.json(1, "kubectl boboyka dead-letters")["deadLetters"][0].clone();
        assert_eq!(
            (&listed["code"], &listed["record_type"]),
            (&json!("23514"), &json!("project_build"))
        );
        let (strand, seq) = (listed["strand"].as_str().unwrap(), &listed["seq"]);
        let shown = desk.json(
            1,
            &format!("kubectl boboyka dead-letters show {strand} {seq}"),
        );
        assert_eq!(shown["record"]["data"]["build_id"], "bld_bad");
        let told = desk.complains(3, &format!("kubectl boboyka dead-letters show {strand} 1"));
        assert!(
            told.contains("is not among the oldest hundred dead letters"),
            "{told}"
        );
        wait_for("the status to tell of it", LIMIT, || async {
            Ok(desk.run("kubectl boboyka status").status.code() == Some(1))
        })
        .await
        .unwrap();
        assert!(
            desk.ends(1, "kubectl boboyka status")
                .contains("next: kubectl boboyka dead-letters -n")
        );
        assert_eq!(
            desk.json(1, "kubectl boboyka dead-letters retry")["sent"]["dead_lettered"],
            1
        );
        agents
            .supabase
            .sql("alter table project_builds drop constraint no_bad");
        assert_eq!(
            desk.json(0, "kubectl boboyka dead-letters retry")["sent"]["mirrored"],
            1
        );
        agents.wait_for_row("bld_bad").await;
        assert!(
            desk.ends(0, "kubectl boboyka drain")
                .starts_with("drained: no record waits")
        );
        a_pod_that_is_refused_is_told(&desk, &agents).await;
        follow_tells_each_record_once(&desk, &agents, &pod).await;
    });
}

async fn a_pod_that_is_refused_is_told(desk: &Desk, agents: &Agents) {
    let deployment = json!({"metadata": {"name": "stray"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "stray"}},
        "template": {"metadata": {"labels": {"app": "stray", LABEL: "of-nobody"}}, "spec": pod_spec(&json!(["pause"]))},
    }});
    agents
        .namespace
        .create::<Deployment>(deployment)
        .await
        .unwrap();
    let question = "kubectl boboyka why deploy/stray";
    wait_for("the refusal to be told", LIMIT, || async {
        let printed = desk.run(question).stdout;
        Ok(String::from_utf8(printed)?.contains("there is no BoboykaIntegration of-nobody"))
    })
    .await
    .unwrap();
    assert!(desk.ends(1, question).contains("can't create its pods"));
}

/// Also when the pod is replaced meanwhile.
async fn follow_tells_each_record_once(desk: &Desk, agents: &Agents, pod: &str) {
    let mut command = tokio::process::Command::from(desk.command(
        "exec kubectl-boboyka events --follow --data --limit 0 --record-type project_build -o json",
    ));
    let mut process = command
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = lines.next_line().await.unwrap().unwrap();
        let record: Value = serde_json::from_str(&line).unwrap();
        record["data"]["build_id"].as_str().unwrap().to_owned()
    };
    // The list is made at some moment after the start: posted again until one is told.
    let first = async {
        for number in 0.. {
            agents.post(pod, &format!("bld_begin_{number}")).await;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    };
    let first = tokio::select! {
        told = next() => told,
        () = first => unreachable!("it posts for ever"),
    };
    assert!(first.starts_with("bld_begin_"), "{first}");
    agents.namespace.delete_pod(pod, true).await.unwrap();
    wait_for("another pod", LIMIT, || async {
        Ok(agents.pod("agent").await != pod)
    })
    .await
    .unwrap();
    let other = agents.pod("agent").await;
    agents.post(&other, "bld_other").await;
    let mut told = vec![first];
    while told.last().unwrap() != "bld_other" {
        told.push(next().await);
    }
    let mut once = told.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), told.len(), "{told:?}");
    process.kill().await.unwrap();
}

#[test]
fn a_cluster_that_is_not_there_is_told_in_time_and_no_command_line_is_taken_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    let address = boboyka_tests::process::free_address();
    std::fs::write(&config, kubeconfig(&format!("https://{address}"))).unwrap();
    for (line, code, words) in [
        ("status", 3, "could not list boboyka"),
        ("verify", 3, "could not list boboykastrands"),
        ("status --context nope", 3, "nope"),
        ("status --request-timeout soon", 2, "--request-timeout"),
        ("phase --to Sideways", 2, "--to"),
        ("phase --dry-run", 2, "--to"),
        ("why pod -A", 3, "--all-namespaces"),
        ("events --limit 5000", 2, "--limit"),
        ("status -n x -A", 2, "--all-namespaces"),
        ("nothing", 2, "nothing"),
    ] {
        let (told, ended) = alone(&config, line);
        assert_eq!(ended, Some(code), "{line}: {told}");
        assert!(told.contains(words), "{line}: {told}");
    }
    assert_eq!(alone(&config, "install --print").1, Some(0));
    assert_eq!(alone(&config, "completion zsh").1, Some(0));
}

fn alone(config: &Path, line: &str) -> (String, Option<i32>) {
    let program = boboyka_tests::sidecar::binary().with_file_name("kubectl-boboyka");
    let output = Command::new(program)
        .args(line.split(' '))
        .env("KUBECONFIG", config)
        .output()
        .unwrap();
    (
        String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

fn kubeconfig(server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": true}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    })
    .to_string()
}
