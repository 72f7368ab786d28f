//! `kubectl boboyka` on a real cluster, as people and programs use it: each test is a person's question.

mod desk;
mod fences;
mod records;
mod rights;

use std::path::Path;
use std::process::Command;

use boboyka_tests::document::commands;
use serde_json::json;

pub(crate) use self::desk::Desk;
use crate::agents::Agents;
use crate::product::{cluster, root, run};

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
            // The panel, fences and dead letters have tests of their own; this machine has no place to install to.
            let is_ours = command.starts_with("kubectl boboyka");
            if !is_ours
                || ["panel", "show", "install", "retry", "fence"]
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
pub(crate) fn is_printed(line: &str, text: &str) -> bool {
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
fn a_cluster_that_is_not_there_is_told_in_time_and_no_command_line_is_taken_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    let address = boboyka_tests::process::free_address();
    std::fs::write(&config, kubeconfig(&format!("https://{address}"))).unwrap();
    for (line, code, words) in [
        ("status", 3, "could not list boboyka"),
        ("verify", 3, "could not list boboykastrands"),
        ("install", 3, "could not discover v1 Namespace"),
        ("install --dry-run", 3, "could not discover v1 Namespace"),
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
