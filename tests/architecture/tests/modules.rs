//! The module graphs of this workspace: no circle of imports, and nothing imported from a module above.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails says where"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use boboyka_architecture::{Arrow, graph};
use serde_json::Value;

/// The crates that the product is divided into; their walls are what Cargo forbids.
const PRODUCT: [&str; 11] = [
    "boboyka-crds",
    "boboyka-tlog",
    "boboyka-otlp",
    "boboyka-strand",
    "boboyka-store",
    "boboyka-mirror",
    "boboyka-archive",
    "boboyka-cosigning",
    "boboyka-sidecar",
    "boboyka-operator",
    "boboyka-plugin",
];

#[test]
fn no_crate_has_a_circle_of_imports() {
    let told = faults(|root| {
        let graph = graph(root).unwrap();
        let circles = graph.circles();
        let lines = circles.iter().enumerate();
        let lines = lines.flat_map(|(number, circle)| {
            circle
                .iter()
                .map(move |arrow| format!("circle {}: {}", number + 1, line(arrow)))
        });
        lines.collect()
    });
    assert!(told.is_empty(), "circles of imports:\n{}", told.join("\n"));
}

#[test]
fn no_module_imports_what_a_module_above_it_defines() {
    let told = faults(|root| {
        graph(root)
            .unwrap()
            .upward()
            .into_iter()
            .map(line)
            .collect()
    });
    assert!(
        told.is_empty(),
        "upward imports; move what is imported to a file of its own beside the importer:\n{}",
        told.join("\n")
    );
}

#[test]
fn the_product_is_divided_into_its_crates() {
    let names: Vec<String> = packages().into_iter().map(|(name, _)| name).collect();
    for name in PRODUCT {
        assert!(
            names.iter().any(|one| one == name),
            "the workspace has no crate {name}: {names:?}"
        );
    }
}

/// What a check finds in every library and program of the workspace.
fn faults(check: impl Fn(&Path) -> Vec<String>) -> Vec<String> {
    let roots: Vec<PathBuf> = packages()
        .into_iter()
        .flat_map(|(_, roots)| roots)
        .collect();
    assert!(roots.len() >= PRODUCT.len(), "{roots:?}");
    roots.iter().flat_map(|root| check(root)).collect()
}

/// The packages of the workspace, each with the root files of its library and programs.
fn packages() -> Vec<(String, Vec<PathBuf>)> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let output = cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let targets = package["targets"].as_array().unwrap().iter();
            let targets = targets.filter(|target| {
                let kinds = target["kind"].as_array().unwrap();
                kinds.iter().any(|kind| kind == "lib" || kind == "bin")
            });
            let roots = targets.map(|target| PathBuf::from(target["src_path"].as_str().unwrap()));
            (
                package["name"].as_str().unwrap().to_owned(),
                roots.collect(),
            )
        });
    packages.collect()
}

/// An arrow with paths from the workspace's root.
fn line(arrow: &Arrow) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    arrow
        .to_string()
        .replace(&format!("{}/", root.display()), "")
}
