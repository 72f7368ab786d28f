//! What goes wrong, on purpose: processes that crash, a node that is cut off, a volume that is full or gone.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::base::Component;
use crate::cluster::Cluster;
use crate::kubelet::NodeParts;
use crate::namespaces::{poll, run};

/// A process of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlPlane {
    /// Keeps everything.
    Etcd,
    /// Answers everybody.
    ApiServer,
    /// Runs the controllers.
    ControllerManager,
    /// Places pods.
    Scheduler,
}

/// A process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodePart {
    /// Runs containers.
    Containerd,
    /// Runs pods.
    Kubelet,
    /// Routes Services.
    KubeProxy,
}

impl Cluster {
    /// Cuts a node off from everybody, as a pulled cable does.
    pub fn partition(&self, node: &str) -> Result<()> {
        self.link(node, "down")
    }

    /// Connects it again.
    pub fn heal(&self, node: &str) -> Result<()> {
        self.link(node, "up")
    }

    /// Kills a process of the control plane with SIGKILL.
    pub fn kill_control_plane(&mut self, which: ControlPlane) -> Result<()> {
        self.control_plane_part(which)?.kill()
    }

    /// Starts it again; the API server is ready afterwards.
    pub async fn restart_control_plane(&mut self, which: ControlPlane) -> Result<()> {
        let name = name_of(which);
        let place = self.control_plane.iter().position(|(one, _)| *one == name);
        let (name, mut part) = self.control_plane.swap_remove(place.context(name)?);
        let restarted = self.base.restart(&mut part);
        self.control_plane.push((name, part));
        restarted?;
        self.api_ready().await
    }

    /// Stops the API server for a while.
    pub async fn stop_api_server_for(&mut self, time: Duration) -> Result<()> {
        self.kill_control_plane(ControlPlane::ApiServer)?;
        tokio::time::sleep(time).await;
        self.restart_control_plane(ControlPlane::ApiServer).await
    }

    /// Kills a process of a node with SIGKILL; its pods go on.
    pub fn kill_node_part(&mut self, node: &str, which: NodePart) -> Result<()> {
        let place = self.node_place(node)?;
        let node = self.nodes.get_mut(place).context("the place was found")?;
        part_of(node, which).kill()
    }

    /// Starts it again; containerd answers afterwards, without which a kubelet ends.
    pub fn restart_node_part(&mut self, node: &str, which: NodePart) -> Result<()> {
        let place = self.node_place(node)?;
        let mut node = self.nodes.remove(place);
        let restarted = self.base.restart(part_of(&mut node, which));
        let (pid, socket) = (node.pid, node.folder.join("containerd.sock"));
        self.nodes.insert(place, node);
        restarted?;
        if which == NodePart::Containerd {
            poll("containerd", || {
                let mut command = self.base.namespaces.command_at(pid, "ctr");
                command.env("PATH", self.base.tools.path());
                command.arg("--address").arg(&socket).arg("version");
                run(&mut command).ok()
            })?;
        }
        Ok(())
    }

    /// Fills a volume to the last byte.
    pub fn fill_volume(&self, node: &str, volume: &str) -> Result<()> {
        let place = self.volume_place(node, volume)?;
        self.on_node(
            node,
            &format!("head -c 1T /dev/zero >{place}/filler 2>/dev/null || true"),
        )?;
        Ok(())
    }

    /// Takes away what filled it.
    pub fn empty_volume(&self, node: &str, volume: &str) -> Result<()> {
        let place = self.volume_place(node, volume)?;
        self.on_node(node, &format!("rm {place}/filler"))?;
        Ok(())
    }

    /// Takes a volume's disk away from under its mount.
    pub fn unmount_volume(&self, node: &str, volume: &str) -> Result<()> {
        let place = self.volume_place(node, volume)?;
        self.on_node(node, &format!("umount --lazy {place}"))?;
        Ok(())
    }

    /// Posts a record to the sidecar in the pod that has an address, from inside that pod's network, so that nothing of
    /// Kubernetes' is needed.
    pub fn ingest_inside(&self, pod_address: &str, build: &str) -> Result<()> {
        let body = format!(
            r#"{{"record_type":"project_build","data":{{"project_id":"p","build_id":"{build}","status":"running","agent_id":"a"}}}}"#
        );
        let script = format!(
            "for netns in /run/netns/*; do
               nsenter --net=$netns ip -o addr | grep -qF ' {pod_address}/' || continue
               exec nsenter --net=$netns curl -sSf 127.0.0.1:7475/v1/boboyka/ingest \
                 -H 'content-type: application/json' -d '{body}'
             done
             exit 1"
        );
        let node = pod_address
            .split('.')
            .nth(2)
            .context("the address has four parts")?;
        self.on_node(&format!("n{node}"), &script)?;
        Ok(())
    }

    /// Runs a shell script as a node's root.
    pub fn on_node(&self, node: &str, script: &str) -> Result<String> {
        let node = self
            .nodes
            .get(self.node_place(node)?)
            .context("the place was found")?;
        self.base.namespaces.script(node.pid, script)
    }

    fn volume_place(&self, node: &str, volume: &str) -> Result<String> {
        let node = self
            .nodes
            .get(self.node_place(node)?)
            .context("the place was found")?;
        Ok(node
            .folder
            .join("volumes")
            .join(volume)
            .display()
            .to_string())
    }

    fn link(&self, node: &str, state: &str) -> Result<()> {
        let node = self
            .nodes
            .get(self.node_place(node)?)
            .context("the place was found")?;
        let number = node.number;
        // A link that comes back has lost its routes.
        let route = if state == "up" {
            format!(
                "ip route replace 10.244.{number}.0/24 via 10.99.0.{}",
                10 + u16::from(number)
            )
        } else {
            String::new()
        };
        let script = format!("ip link set {} {state}; {route}", node.name);
        self.base
            .namespaces
            .script(self.base.namespaces.first, &script)?;
        Ok(())
    }

    fn node_place(&self, name: &str) -> Result<usize> {
        let place = self.nodes.iter().position(|node| node.name == name);
        place.with_context(|| format!("there is no node {name}"))
    }

    fn control_plane_part(&mut self, which: ControlPlane) -> Result<&mut Component> {
        let name = name_of(which);
        let found = self.control_plane.iter_mut().find(|(one, _)| *one == name);
        found
            .map(|(_, part)| part)
            .with_context(|| format!("{name} does not run here"))
    }
}

fn name_of(which: ControlPlane) -> &'static str {
    match which {
        ControlPlane::Etcd => "etcd",
        ControlPlane::ApiServer => "kube-apiserver",
        ControlPlane::ControllerManager => "kube-controller-manager",
        ControlPlane::Scheduler => "kube-scheduler",
    }
}

fn part_of(node: &mut NodeParts, which: NodePart) -> &mut Component {
    match which {
        NodePart::Containerd => &mut node.containerd,
        NodePart::Kubelet => &mut node.kubelet,
        NodePart::KubeProxy => &mut node.proxy,
    }
}
