//! The bill of materials of a program, as a `CycloneDX` document: every crate that is linked into it, by Cargo.lock. The
//! same lock gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The part of `cargo metadata` that a bill needs.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The document for a package of this workspace. Fails when cargo does or knows no such package.
pub fn bill(name: &str) -> Result<Vec<u8>> {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().context("could not start cargo")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let root = metadata.packages.iter().find(|one| one.name == name);
    let root = root.with_context(|| format!("cargo metadata lists no package {name}"))?;
    let linked = linked_into(&root.id, &metadata.resolve);
    let mut parts: Vec<&Package> = metadata.packages.iter().collect();
    parts.retain(|one| linked.contains(one.id.as_str()) && one.id != root.id);
    parts.sort_by_key(|one| (&one.name, &one.version));
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(root, "application")},
        "components": parts.iter().map(|one| component(one, "library")).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_vec(&document)?)
}

/// The package and its normal dependencies at any depth; build scripts and tests are not linked.
fn linked_into<'a>(root: &'a str, resolve: &'a Resolve) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<&str, &Node> = resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        for dependency in nodes
            .get(id)
            .map(|node| node.deps.as_slice())
            .unwrap_or_default()
        {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
            if normal && found.insert(&dependency.pkg) {
                open.push(&dependency.pkg);
            }
        }
    }
    found
}

fn component(package: &Package, kind: &str) -> Value {
    let Package { name, version, .. } = package;
    let mut component = Map::new();
    component.insert("type".to_owned(), json!(kind));
    component.insert("name".to_owned(), json!(name));
    component.insert("version".to_owned(), json!(version));
    if let Some(license) = &package.license {
        // Older crates write MIT/Apache-2.0, which is no SPDX expression.
        let license = license.replace('/', " OR ");
        component.insert("licenses".to_owned(), json!([{"expression": license}]));
    }
    if package.source.is_some() {
        let purl = format!("pkg:cargo/{name}@{version}");
        component.insert("purl".to_owned(), json!(purl));
    }
    component.into()
}
