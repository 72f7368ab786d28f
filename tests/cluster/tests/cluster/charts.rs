//! The charts: what they render, what they refuse, and how they are installed, upgraded, rolled back and taken away.

mod alerts;
mod dist;
mod install;
pub(crate) mod render;
mod witness;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Result, ensure};
use serde::Deserialize as _;
use serde_json::Value;

/// The namespace that the product is installed in.
pub(crate) const NAMESPACE: &str = "boboyka-system";

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A chart's folder.
pub(crate) fn chart(name: &str) -> PathBuf {
    root().join("charts").join(name)
}

/// A path that the provisioning script tells by this name.
pub(crate) fn provisioned(name: &str) -> PathBuf {
    static TOLD: OnceLock<String> = OnceLock::new();
    let told = TOLD.get_or_init(|| {
        let mut script = Command::new("bash");
        script
            .arg(root().join("tools/provision.sh"))
            .arg("--where-cluster");
        String::from_utf8(script.output().unwrap().stdout).unwrap()
    });
    let mut pairs = told.lines().filter_map(|line| line.split_once('='));
    let place = pairs.find_map(|(key, value)| (key == name).then_some(value));
    PathBuf::from(place.unwrap_or_else(|| panic!("{name} is not provisioned")))
}

fn run_helm(kubeconfig: &Path, arguments: &[&str]) -> Output {
    let mut helm = Command::new(provisioned("HELM_BIN").join("helm"));
    helm.env("KUBECONFIG", kubeconfig).args(arguments);
    // What the person who runs this has set up for helm is not ours.
    for folder in ["HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_CACHE_HOME"] {
        helm.env(folder, "/nonexistent");
    }
    helm.output().unwrap()
}

/// Runs helm against a cluster; what it printed, or what it complained of.
pub(crate) fn helm(kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
    let output = run_helm(kubeconfig, arguments);
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {arguments:?}: {complained}");
    Ok(String::from_utf8(output.stdout)?)
}

/// What the operator's chart renders with these arguments, object by object.
pub(crate) fn template(arguments: &[&str]) -> Vec<Value> {
    let place = chart("boboyka-operator");
    let mut all = vec![
        "template",
        "boboyka-operator",
        place.to_str().unwrap(),
        "-n",
        NAMESPACE,
    ];
    all.extend(arguments);
    objects(&helm(Path::new("/nonexistent"), &all).unwrap())
}

/// The objects of a manifest.
fn objects(manifest: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(manifest);
    let objects = documents.map(|document| Value::deserialize(document).unwrap());
    objects.filter(|object| !object.is_null()).collect()
}
