//! The documents for platform teams, followed on a real cluster.

use std::process::Command;

use boboyka_tests::document::commands;

use crate::agents::Agents;
use crate::plugin::{Desk, is_printed};
use crate::product::{cluster, root, run};

#[test]
fn the_documents_of_installing_and_operating_work() {
    run(async {
        let cluster = cluster().await;
        let agents = Agents::without_integration(cluster).await;
        let desk = Desk::new(cluster, &agents);
        let charts = root().join("charts");
        desk.ends(0, &format!("ln -s {} charts", charts.display()));
        let mut followed = 0;
        for document in ["docs/install.md", "docs/operations.md"] {
            let text = std::fs::read_to_string(root().join(document)).unwrap();
            for (command, expected) in commands(&text) {
                let line = match command.strip_prefix("helm ") {
                    Some(rest) => format!("{} {rest}", helm()),
                    None => command.clone(),
                };
                let printed = desk.ends(0, &line);
                for line in expected {
                    assert!(
                        is_printed(&line, &printed),
                        "{document}: {command}: {line}\n{printed}"
                    );
                }
                followed += 1;
            }
        }
        assert!(followed >= 10, "{followed}");
    });
}

/// The path of the provisioned helm.
fn helm() -> String {
    let mut script = Command::new(root().join("tools/provision.sh"));
    let told = script.arg("--where-cluster").output().unwrap().stdout;
    let told = String::from_utf8(told).unwrap();
    let mut lines = told.lines();
    let folder = lines.find_map(|line| line.strip_prefix("HELM_BIN="));
    format!("{}/helm", folder.unwrap())
}
