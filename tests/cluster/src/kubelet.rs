//! A node: containerd, kubelet and kube-proxy in a mount and a network namespace of its own, on the cluster's bridge.

use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::Result;

use crate::base::{BRIDGE, Base, Component};
use crate::doctor;
use crate::namespaces::{poll, run};

/// What a node's own folder holds.
const FOLDERS: [&str; 6] = [
    "cni",
    "volumes",
    "kubelet",
    "podlogs",
    "plugins",
    "manifests",
];

/// A running node.
#[derive(Debug)]
pub(crate) struct NodeParts {
    pub(crate) name: String,
    pub(crate) number: u8,
    pub(crate) holder: Child,
    pub(crate) pid: u32,
    pub(crate) folder: PathBuf,
    pub(crate) containerd: Component,
    pub(crate) kubelet: Component,
    pub(crate) proxy: Component,
}

impl NodeParts {
    /// Starts one; it is ready a little later.
    pub(crate) fn start(base: &Base, number: u8, images: &[PathBuf]) -> Result<Self> {
        let name = format!("n{number}");
        let folder = base.state().join(&name);
        for part in FOLDERS {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let (holder, pid) = base.namespaces.nested()?;
        let address = address(number);
        connect(base, number, pid)?;
        make_cgroups(&cgroup(base, &name))?;
        write_settings(base, &folder, &name, number)?;
        let start = |part: &str, command: String| {
            let command = command.split_whitespace().map(str::to_owned).collect();
            base.spawn(pid, &format!("{part}-{name}"), command)
        };
        let at = folder.display();
        let containerd = start(
            "containerd",
            format!("containerd --config {at}/containerd.toml"),
        )?;
        let socket = folder.join("containerd.sock");
        let ctr = |arguments: &[&str]| {
            let mut command = base.namespaces.command_at(pid, "ctr");
            command
                .env("PATH", base.tools.path())
                .arg("--address")
                .arg(&socket)
                .args(arguments);
            run(&mut command)
        };
        poll("containerd", || ctr(&["version"]).ok())?;
        for image in images {
            ctr(&[
                "--namespace",
                "k8s.io",
                "images",
                "import",
                &image.to_string_lossy(),
            ])?;
        }
        let kubeconfig = base.pki.folder.join(format!("{name}.kubeconfig"));
        let kubelet = start(
            "kubelet",
            format!(
                "kubelet --config {at}/kubelet.yaml --kubeconfig {} --hostname-override {name} --node-ip {address} \
                 --root-dir {at}/kubelet --cert-dir {at}/certificates",
                kubeconfig.display()
            ),
        )?;
        let proxy = start("kube-proxy", format!("kube-proxy --config {at}/proxy.yaml"))?;
        Ok(Self {
            name,
            number,
            holder,
            pid,
            folder,
            containerd,
            kubelet,
            proxy,
        })
    }

    /// Its name, the process that holds its namespaces, and its volumes' folder.
    pub(crate) fn volumes(&self) -> (String, u32, PathBuf) {
        (self.name.clone(), self.pid, self.folder.join("volumes"))
    }

    /// Its processes.
    pub(crate) fn components(&mut self) -> impl Iterator<Item = &mut Component> {
        [&mut self.containerd, &mut self.kubelet, &mut self.proxy].into_iter()
    }
}

/// Puts the node on the bridge, and gives it folders of its own where programs write to fixed places.
fn connect(base: &Base, number: u8, pid: u32) -> Result<()> {
    let (name, address) = (format!("n{number}"), address(number));
    base.namespaces.script(
        base.namespaces.first,
        &format!(
            "ip link add {name} type veth peer name eth0 netns {inner}
             ip link set {name} master br0 up; ip route add 10.244.{number}.0/24 via {address}",
            inner = inner_pid(pid)?
        ),
    )?;
    // What containerd, the kubelet and the CNI plugins write to fixed places is the node's own.
    base.namespaces.script(
        pid,
        &format!(
            "mount --make-rprivate /; for place in /run /var/lib /var/log; do mount -t tmpfs tmpfs $place; done
             mount --make-rshared /; mkdir -p /run/netns
             ip link set lo up; ip addr add {address}/24 dev eth0; ip link set eth0 up
             ip route add default via {BRIDGE}; echo 1 >/proc/sys/net/ipv4/ip_forward"
        ),
    )?;
    Ok(())
}

fn address(number: u8) -> String {
    format!("10.99.0.{}", 10 + u16::from(number))
}

fn cgroup(base: &Base, node: &str) -> String {
    format!("{}-{node}", base.name)
}

/// A process's id as its own pid namespace knows it.
fn inner_pid(pid: u32) -> Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .unwrap_or_default();
    Ok(line
        .split_whitespace()
        .last()
        .unwrap_or_default()
        .to_owned())
}

/// The node's own parent in every hierarchy, so that all below it can be removed.
fn make_cgroups(name: &str) -> Result<()> {
    for mount in doctor::cgroup_mounts() {
        let group = Path::new(&mount).join(name);
        std::fs::create_dir_all(&group)?;
        // A new cpuset of version 1 has no processors and no memory, and takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = Path::new(&mount).join(file);
            if parent.exists() {
                std::fs::write(group.join(file), std::fs::read(parent)?)?;
            }
        }
    }
    Ok(())
}

fn write_settings(base: &Base, folder: &Path, name: &str, number: u8) -> Result<()> {
    let (at, address) = (folder.display(), address(number));
    let server = format!("https://{BRIDGE}:6443");
    base.pki
        .server(&format!("{name}-server"), &[&address, name])?;
    base.pki.kubeconfig(
        name,
        &server,
        &format!("system:node:{name}"),
        Some("system:nodes"),
    )?;
    let proxy =
        base.pki
            .kubeconfig(&format!("{name}-proxy"), &server, "system:kube-proxy", None)?;
    std::fs::write(
        folder.join("cni/10-cluster.conflist"),
        format!(
            r#"{{"cniVersion":"1.0.0","name":"cluster","plugins":[{{"type":"bridge","bridge":"cni0","isGateway":true,
"ipMasq":false,"hairpinMode":true,"ipam":{{"type":"host-local","dataDir":"{at}/addresses",
"ranges":[[{{"subnet":"10.244.{number}.0/24"}}]],"routes":[{{"dst":"0.0.0.0/0"}}]}}}}]}}"#
        ),
    )?;
    std::fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\n")?;
    std::fs::write(
        folder.join("containerd.toml"),
        containerd_toml(base, folder),
    )?;
    std::fs::write(
        folder.join("kubelet.yaml"),
        kubelet_yaml(base, folder, name, &address),
    )?;
    std::fs::write(
        folder.join("proxy.yaml"),
        format!(
            r"apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: 10.244.0.0/16
hostnameOverride: {name}
clientConnection: {{kubeconfig: {}}}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
",
            proxy.display()
        ),
    )?;
    Ok(())
}

fn kubelet_yaml(base: &Base, folder: &Path, name: &str, address: &str) -> String {
    let (at, pki) = (folder.display(), base.pki.folder.display());
    let group = cgroup(base, name);
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /{group}
failSwapOn: false
oomScoreAdj: 0
containerRuntimeEndpoint: unix://{at}/containerd.sock
address: {address}
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: {pki}/ca.crt}}}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/{name}-server.crt
tlsPrivateKeyFile: {pki}/{name}-server.key
resolvConf: {at}/resolv.conf
clusterDomain: cluster.local
podLogsDir: {at}/podlogs
volumePluginDir: {at}/plugins
staticPodPath: {at}/manifests
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}}
nodeStatusUpdateFrequency: 1s
nodeLeaseDurationSeconds: 4
syncFrequency: 5s
"#
    )
}

fn containerd_toml(base: &Base, folder: &Path) -> String {
    let (at, bin, cni) = (
        folder.display(),
        base.tools.bin.display(),
        base.tools.cni.display(),
    );
    // A negative oom_score_adj needs a capability that not every root has.
    format!(
        r#"version = 2
root = "{at}/containerd"
state = "/run/containerd-state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{at}/containerd.sock"
[ttrpc]
  address = "{at}/containerd.ttrpc.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{at}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/boboyka-probe:test"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{at}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{bin}/runc"
        SystemdCgroup = false
"#
    )
}
