//! What a cluster leaves behind: nothing, however its owner ends.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shared::{ONE_AT_A_TIME, run};

const LIMIT: Duration = Duration::from_mins(2);

#[test]
fn nothing_is_left_when_the_owner_is_interrupted() {
    nothing_is_left_after("INT");
}

#[test]
fn nothing_is_left_when_the_owner_is_killed() {
    nothing_is_left_after("KILL");
}

fn nothing_is_left_after(signal: &str) {
    let _one = run(ONE_AT_A_TIME.lock());
    let folder = tempfile::tempdir().unwrap();
    let mut owner = Command::new(env!("CARGO_BIN_EXE_boboyka-cluster"));
    owner
        .args(["serve", "--nodes", "1", "--folder"])
        .arg(folder.path())
        .stdin(Stdio::null());
    let mut owner = owner.spawn().unwrap();
    wait_until_up(&mut owner, folder.path());
    let name = std::fs::read_to_string(folder.path().join("name")).unwrap();
    assert!(!traces(&name).is_empty(), "a running cluster is seen");
    let pid = owner.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .unwrap()
            .success()
    );
    owner.wait().unwrap();
    let begun = Instant::now();
    while !traces(&name).is_empty() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "left behind: {:?}",
            traces(&name)
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Processes, mounts, cgroups and folders that bear a cluster's name.
fn traces(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(name) {
            found.push(format!("process {}", entry.path().display()));
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    found.extend(
        mounts
            .lines()
            .filter(|line| line.contains(name))
            .map(str::to_owned),
    );
    let groups = Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("{name}*")])
        .output();
    found.extend(
        String::from_utf8_lossy(&groups.unwrap().stdout)
            .lines()
            .map(str::to_owned),
    );
    let folder = std::env::temp_dir().join(name);
    found.extend(Path::exists(&folder).then(|| folder.display().to_string()));
    found
}

#[test]
fn the_api_tier_runs_beside_other_clusters() {
    run(async {
        use boboyka_cluster::{Cluster, TestNamespace, Tier};
        let (one, other) = tokio::try_join!(
            Cluster::start(Tier::Api, &[]),
            Cluster::start(Tier::Api, &[])
        )
        .unwrap();
        let namespace = TestNamespace::new(one.client()).await.unwrap();
        let seen = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(other.client());
        assert!(seen.get_opt(namespace.name()).await.unwrap().is_none());
        let foreign = TestNamespace::in_foreign_cluster(one.kubeconfig())
            .await
            .unwrap();
        assert_ne!(foreign.name(), namespace.name());
    });
}

#[test]
fn the_api_tier_needs_no_root() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut owner = Command::new("setpriv");
    // The one thing that it may is to read, for what it needs may lie in a folder of root's.
    owner
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args([
            "--inh-caps=-all,+dac_read_search",
            "--ambient-caps=+dac_read_search",
        ])
        .arg(env!("CARGO_BIN_EXE_boboyka-cluster"))
        .args(["serve", "--nodes", "0", "--folder"])
        .arg(folder.path())
        .env("HOME", folder.path())
        .env("BOBOYKA_CACHE", cache())
        .stdin(Stdio::null());
    let mut owner = owner.spawn().unwrap();
    wait_until_up(&mut owner, folder.path());
    let status = std::fs::read_to_string(format!("/proc/{}/status", owner.id())).unwrap();
    assert!(status.contains("\nUid:\t65534\t65534"), "{status}");
    owner.kill().unwrap();
    owner.wait().unwrap();
}

/// The cache folder, as root's own.
fn cache() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../provision.sh");
    let told = Command::new("bash")
        .args([script, "--where-cluster"])
        .output();
    let told = String::from_utf8(told.unwrap().stdout).unwrap();
    let debian = told
        .lines()
        .find_map(|line| line.strip_prefix("DEBIAN_ROOT="));
    Path::new(debian.unwrap()).parent().unwrap().to_owned()
}

fn wait_until_up(owner: &mut Child, folder: &Path) {
    let begun = Instant::now();
    while !folder.join("kubeconfig").exists() {
        let ended = owner.try_wait().unwrap();
        assert!(
            ended.is_none() && begun.elapsed() < LIMIT,
            "it did not come up: {ended:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}
