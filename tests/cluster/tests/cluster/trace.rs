//! What a cluster leaves behind: nothing, however its owner ends.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shared::{ONE_AT_A_TIME, cluster, run};
use boboyka_tests::process::GUARD;

const LIMIT: Duration = GUARD;

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
    let inside = pid_namespaces(&name);
    let seen = traces(&name, &inside);
    for kind in ["process", "link", "cgroup", "folder"] {
        let found = seen.iter().any(|trace| trace.starts_with(kind));
        assert!(found, "no {kind} of a running cluster is seen: {seen:?}");
    }
    assert!(!inside.is_empty(), "it runs in a pid namespace");
    let pid = owner.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .unwrap()
            .success()
    );
    owner.wait().unwrap();
    gone(&name, &inside);
}

#[test]
fn nothing_is_left_after_a_panic_and_a_second_cluster_is_untouched() {
    use boboyka_cluster::{Cluster, Tier};
    use kube::ResourceExt as _;
    let (name, inside) = run(async {
        let _one = ONE_AT_A_TIME.lock().await;
        let beside = cluster().await;
        let one = Cluster::start(Tier::Nodes(1), &[]).await.unwrap();
        let nodes = |client| kube::Api::<k8s_openapi::api::core::v1::Node>::all(client);
        let own = nodes(one.client())
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        assert_eq!(own.items.len(), 1, "it has its own node only");
        let name = one.name().to_owned();
        let inside = pid_namespaces(&name);
        let owner = tokio::spawn(async move {
            let owned = one;
            panic!("on purpose, while {} runs", owned.name());
        });
        assert!(owner.await.unwrap_err().is_panic());
        let others = nodes(beside.client())
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        assert_eq!(others.items.len(), 2, "the other one has both of its own");
        for node in others.items {
            beside.node_ready(&node.name_any()).await.unwrap();
        }
        (name, inside)
    });
    gone(&name, &inside);
}

/// Waits until nothing of a cluster is there any more.
fn gone(name: &str, inside: &HashSet<PathBuf>) {
    let begun = Instant::now();
    loop {
        let left = traces(name, inside);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "left behind: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The processes of this machine.
fn processes() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbered = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().bytes().all(|c| c.is_ascii_digit())
    };
    entries.filter(numbered).map(|entry| entry.path())
}

fn names(process: &Path, name: &str) -> bool {
    let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(name)
}

/// The pid namespaces, but for the machine's, of the processes that name a cluster.
fn pid_namespaces(name: &str) -> HashSet<PathBuf> {
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let ours = processes().filter(|process| names(process, name));
    ours.filter_map(|process| std::fs::read_link(process.join("ns/pid")).ok())
        .filter(|namespace| *namespace != own)
        .collect()
}

/// Processes, mounts, links, cgroups and the folder of a cluster.
fn traces(name: &str, inside: &HashSet<PathBuf>) -> Vec<String> {
    let belongs = |process: &PathBuf| {
        names(process, name)
            || std::fs::read_link(process.join("ns/pid")).is_ok_and(|it| inside.contains(&it))
    };
    let mut found: Vec<String> = processes()
        .filter(belongs)
        .map(|process| format!("process {}", process.display()))
        .collect();
    let mut lines = |kind: &str, text: &str| {
        let named = text.lines().filter(|line| line.contains(name));
        found.extend(named.map(|line| format!("{kind} {line}")));
    };
    lines(
        "mount",
        &std::fs::read_to_string("/proc/self/mounts").unwrap(),
    );
    let shown = Command::new("ip")
        .args(["-oneline", "link", "show"])
        .output();
    lines("link", &String::from_utf8_lossy(&shown.unwrap().stdout));
    let groups = Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name", &format!("{name}*")])
        .output();
    lines("cgroup", &String::from_utf8_lossy(&groups.unwrap().stdout));
    let folder = std::env::temp_dir().join(name);
    found.extend(Path::exists(&folder).then(|| format!("folder {}", folder.display())));
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
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/provision.sh");
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
