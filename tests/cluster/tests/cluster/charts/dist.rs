//! What `make dist` puts together for a release, and what installs from it. The programs here are none: `make dist` tries the
//! real ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::install::kubectl;
use super::{NAMESPACE, chart, helm, objects, root};
use crate::shared::run;

/// The files of a release, without versions.
const FILES: [&str; 26] = [
    "CHANGELOG.md",
    "LICENSE",
    "bills/boboyka-operator.cdx.json",
    "bills/boboyka-plugin.cdx.json",
    "bills/boboyka-sidecar.cdx.json",
    "charts/boboyka-crds-V.tgz",
    "charts/boboyka-operator-V.tgz",
    "images/boboyka-operator.tar",
    "images/boboyka-sidecar.tar",
    "install.yaml",
    "man/boboyka-operator.1",
    "man/boboyka-sidecar.1",
    "man/kubectl-boboyka.1",
    "openapi.json",
    "plugin/boboyka.yaml",
    "plugin/kubectl-boboyka_linux_amd64.tar.gz",
    "plugin/kubectl-boboyka_linux_arm64.tar.gz",
    "programs/boboyka-operator_linux_amd64",
    "programs/boboyka-operator_linux_arm64",
    "programs/boboyka-sidecar_linux_amd64",
    "programs/boboyka-sidecar_linux_arm64",
    "programs/kubectl-boboyka_linux_amd64",
    "programs/kubectl-boboyka_linux_arm64",
    "python/sapixdb_boboyka-V-py3-none-any.whl",
    "python/sapixdb_boboyka-V.tar.gz",
    "schema.sql",
];

/// The beginning of a program for a machine, by its number in ELF, under each name.
fn programs(folder: &Path) {
    for (target, machine) in [("x86_64", 0x3e), ("aarch64", 0xb7)] {
        let folder = folder.join(format!("{target}-unknown-linux-gnu/release"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut program = b"\x7fELF".to_vec();
        program.resize(18, 0);
        program.extend([machine, 0]);
        for name in ["boboyka-sidecar", "boboyka-operator", "kubectl-boboyka"] {
            std::fs::write(folder.join(name), &program).unwrap();
        }
    }
}

fn script(name: &str) -> Command {
    let mut command = Command::new(root().join(name));
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    command
}

#[track_caller]
fn done(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    assert!(
        status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8(stdout).unwrap()
}

#[test]
fn a_release_is_whole_and_installs() {
    let folder = tempfile::tempdir().unwrap();
    programs(&folder.path().join("static"));
    let dist = folder.path().join("dist");
    let mut make = script("tools/dist.sh");
    make.arg(&dist).arg("https://example.com/boboyka");
    done(make.env("STATIC", folder.path().join("static")));

    let sums = std::fs::read_to_string(dist.join("SHA256SUMS")).unwrap();
    let listed = sums
        .lines()
        .map(|line| line[66..].replace(env!("CARGO_PKG_VERSION"), "V"));
    assert_eq!(listed.collect::<Vec<_>>(), FILES);
    let mut check = Command::new("sha256sum");
    done(
        check
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&dist),
    );
    the_plugins_manifest_has_the_sums_of_its_archives(&dist, &sums);
    the_charts_are_those_of_the_tree(&dist);
    run(the_charts_install(&dist));
    let wheel = format!(
        "sapixdb_boboyka-{}-py3-none-any.whl",
        env!("CARGO_PKG_VERSION")
    );
    let told = done(
        script("tests/python.sh")
            .arg("--try")
            .arg(dist.join("python").join(wheel)),
    );
    assert!(told.contains("usage: sapixdb-boboyka"), "{told}");
}

#[test]
fn a_folder_that_is_no_release_is_left_alone_and_nothing_is_left_of_a_run_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("file"), "mine").unwrap();
    let refused = |place: &str| {
        let mut make = script("tools/dist.sh");
        make.arg(folder.path().join(place))
            .arg("https://example.com");
        let told = make.env("STATIC", folder.path()).output().unwrap();
        assert!(!told.status.success());
        String::from_utf8(told.stderr).unwrap()
    };
    assert!(refused("mine").contains("is no release"));
    // There are no programs.
    assert!(refused("new").contains("/boboyka-sidecar. 'make dist' builds it"));
    assert_eq!(std::fs::read(mine.join("file")).unwrap(), b"mine");
    let left = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(left.count(), 1);
}

fn the_plugins_manifest_has_the_sums_of_its_archives(dist: &Path, sums: &str) {
    let manifest = std::fs::read_to_string(dist.join("plugin/boboyka.yaml")).unwrap();
    let manifest: Value = serde_yaml::from_str(&manifest).unwrap();
    for platform in manifest["spec"]["platforms"].as_array().unwrap() {
        let place = platform["uri"].as_str().unwrap();
        let name = place.strip_prefix("https://example.com/boboyka/").unwrap();
        let sum = platform["sha256"].as_str().unwrap();
        assert!(sums.contains(&format!("{sum}  plugin/{name}\n")), "{place}");
        let mut list = Command::new("tar");
        let told = done(list.arg("-tzf").arg(dist.join("plugin").join(name)));
        assert_eq!(told, "kubectl-boboyka\nLICENSE\n");
    }
}

fn packed(dist: &Path, name: &str) -> PathBuf {
    dist.join(format!("charts/{name}-{}.tgz", env!("CARGO_PKG_VERSION")))
}

/// What a chart renders, whether it is packed or not.
fn rendered(name: &str, place: &Path) -> String {
    let place = place.to_str().unwrap();
    helm(
        Path::new("/nonexistent"),
        &["template", name, place, "-n", NAMESPACE],
    )
    .unwrap()
}

fn the_charts_are_those_of_the_tree(dist: &Path) {
    for name in ["boboyka-crds", "boboyka-operator"] {
        let made = rendered(name, &packed(dist, name));
        assert_eq!(made, rendered(name, &chart(name)), "{name}");
        assert!(!objects(&made).is_empty());
        let mut list = Command::new("tar");
        let told = done(list.arg("-tvzf").arg(packed(dist, name)));
        let is_plain = |line: &str| line.contains(" 0/0 ") && line.contains(" 2023-11-1");
        assert!(told.lines().all(is_plain), "{told}");
    }
}

/// On a control plane that knows the product, as an API server takes every object.
async fn the_charts_install(dist: &Path) {
    let cluster = crate::authorization::cluster().await;
    for name in ["boboyka-crds", "boboyka-operator"] {
        let file = dist.join(format!("{name}.yaml"));
        std::fs::write(&file, rendered(name, &packed(dist, name))).unwrap();
        let place = file.to_str().unwrap();
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            place,
        ];
        let told = kubectl(cluster, &apply).unwrap();
        assert!(
            told.contains("serverside-applied (server dry run)"),
            "{told}"
        );
    }
}
