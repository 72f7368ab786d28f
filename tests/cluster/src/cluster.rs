//! A running cluster: control plane, nodes, and the administrator's client. Dropping it ends all of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use boboyka_tests::process::free_address;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::task::JoinHandle;

use crate::base::{BRIDGE, Base, Component};
use crate::doctor;
use crate::kubelet::NodeParts;
use crate::namespaces::{Namespaces, run};
use crate::pki::Pki;
use crate::storage;
use crate::tools::Tools;

/// How long a part may take to be ready, on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(5);
/// A node that says nothing for this long is unknown: shorter than usual, so that tests of faults are quick, and longer
/// than a kubelet pauses on a busy machine.
const NODE_GRACE: &str = "20s";
/// How many seconds pods stay on a node that is unknown before they are evicted.
const EVICTION_SECONDS: &str = "3";

/// How much of a Kubernetes there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// etcd, API server and controller manager; needs no root.
    Api,
    /// All of it, with this number of nodes; needs root.
    Nodes(u8),
}

/// A cluster, until it is dropped.
#[expect(
    missing_debug_implementations,
    reason = "the client has nothing to show"
)]
pub struct Cluster {
    pub(crate) client: Client,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) control_plane: Vec<(&'static str, Component)>,
    pub(crate) nodes: Vec<NodeParts>,
    pub(crate) host: Ipv4Addr,
    server: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
    // The last to go.
    pub(crate) base: Base,
}

impl Cluster {
    /// Starts one, with the images that its nodes get.
    pub async fn start(tier: Tier, images: &[PathBuf]) -> Result<Self> {
        let begun = Instant::now();
        let count = match tier {
            Tier::Api => {
                doctor::check(&doctor::lacks_for_api())?;
                0
            }
            Tier::Nodes(count) => {
                doctor::check(&doctor::lacks_for_nodes())?;
                count
            }
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let name = format!("bbk{:08x}", fastrand::u32(..));
        let state = std::env::temp_dir().join(&name);
        std::fs::create_dir(&state)?;
        let namespaces = Namespaces::new(&state, &name, count > 0)?;
        let tools = Tools::link(&state.join("bin"))?;
        let (host, inside) = if count > 0 {
            network(&namespaces, &tools, &name)?
        } else {
            (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST)
        };
        let ports = if count > 0 {
            [2379, 2380, 6443, 10257]
        } else {
            [(); 4].map(|()| free_address().port())
        };
        let pki = Pki::new(&state.join("pki"))?;
        let mut cluster = Self {
            client: offline()?,
            kubeconfig: PathBuf::new(),
            control_plane: Vec::new(),
            nodes: Vec::new(),
            server: SocketAddr::from((inside, ports[2])),
            host,
            tasks: Vec::new(),
            base: Base {
                pki,
                tools,
                name,
                namespaces,
            },
        };
        cluster.start_control_plane(count > 0, ports).await?;
        say(&format!(
            "control plane ready after {:.1} s",
            begun.elapsed().as_secs_f64()
        ));
        for number in 1..=count {
            let node = NodeParts::start(&cluster.base, number, images)?;
            cluster.nodes.push(node);
        }
        for number in 1..=count {
            cluster.node_ready(&format!("n{number}")).await?;
        }
        if count > 0 {
            let places = cluster.nodes.iter().map(NodeParts::volumes).collect();
            let provisioner = storage::provision(cluster.client(), places).await?;
            cluster.tasks.push(provisioner);
            say(&format!(
                "{count} nodes ready after {:.1} s",
                begun.elapsed().as_secs_f64()
            ));
        }
        Ok(cluster)
    }

    /// The administrator's client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The administrator's kubeconfig, for any program of this machine.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's address.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// This machine's address as pods and the API server see it; what listens on it is reachable from them.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// The folder with kubectl, helm and the others.
    pub fn bin(&self) -> &Path {
        &self.base.tools.bin
    }

    /// Its folder; it goes away with the cluster.
    pub fn state(&self) -> &Path {
        self.base.state()
    }

    /// The name that its folder, cgroups and link begin with.
    pub fn name(&self) -> &str {
        &self.base.name
    }

    /// A server's certificate and key, signed by the cluster's CA, and the CA bundle, as PEM.
    pub fn server_certificate(&self, name: &str) -> Result<(String, String, String)> {
        let (certificate, key) = self.base.pki.server_pem(&[name])?;
        Ok((certificate, key, self.base.pki.authority_pem.clone()))
    }

    /// The administrator's kubeconfig with everything in it, for a place of its own.
    pub fn standalone_kubeconfig(&self) -> Result<String> {
        let mut kubectl = std::process::Command::new(self.bin().join("kubectl"));
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig);
        run(kubectl.args(["config", "view", "--flatten", "--raw"]))
    }

    /// Gives an image that every node has another name.
    pub fn tag_image(&self, image: &str, name: &str) -> Result<()> {
        for node in &self.nodes {
            let mut command = self.base.namespaces.command_at(node.pid, "ctr");
            command.env("PATH", self.base.tools.path());
            command
                .arg("--address")
                .arg(node.folder.join("containerd.sock"))
                .args([
                    "--namespace",
                    "k8s.io",
                    "images",
                    "tag",
                    "--force",
                    image,
                    name,
                ]);
            run(&mut command)?;
        }
        Ok(())
    }

    /// Waits until a node is ready.
    pub async fn node_ready(&self, name: &str) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client());
        let begun = Instant::now();
        loop {
            let found = nodes.get_opt(name).await.ok().flatten();
            if found.is_some_and(|node| is_ready(&node)) {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < READY_LIMIT,
                "node {name} is not ready:\n{}",
                self.log_end(&format!("kubelet-{name}"))
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The end of a part's log.
    pub fn log_end(&self, part: &str) -> String {
        self.base.log_end(part)
    }

    async fn start_control_plane(&mut self, nodes: bool, ports: [u16; 4]) -> Result<()> {
        let first = self.base.namespaces.first;
        let data = self.base.state().join("etcd");
        std::fs::create_dir(&data)?;
        self.base.namespaces.script(
            first,
            &format!("mount -t tmpfs -o mode=0700 tmpfs {}", data.display()),
        )?;
        let etcd = self.base.spawn(first, "etcd", etcd(&data, ports))?;
        self.control_plane.push(("etcd", etcd));
        let inside = self.server.ip().to_string();
        let names = [
            "127.0.0.1",
            BRIDGE,
            "10.96.0.1",
            &inside,
            "localhost",
            "kubernetes.default.svc",
        ];
        self.base.pki.server("apiserver", &names)?;
        self.base.pki.client(
            "apiserver-kubelet",
            "apiserver-kubelet",
            Some("system:masters"),
        )?;
        let local = format!("https://127.0.0.1:{}", ports[2]);
        let manager = self.base.pki.kubeconfig(
            "controller-manager",
            &local,
            "system:kube-controller-manager",
            None,
        )?;
        let scheduler =
            self.base
                .pki
                .kubeconfig("scheduler", &local, "system:kube-scheduler", None)?;
        let advertise = if nodes { BRIDGE } else { "127.0.0.1" };
        let server = self.base.spawn(
            first,
            "kube-apiserver",
            api_server(&self.base.pki.folder, advertise, nodes, ports),
        )?;
        self.control_plane.push(("kube-apiserver", server));
        self.open_to_this_machine().await?;
        self.api_ready().await?;
        let manager = controller_manager(&self.base.pki.folder, &manager, ports[3]);
        let manager = self.base.spawn(first, "kube-controller-manager", manager)?;
        self.control_plane
            .push(("kube-controller-manager", manager));
        if nodes {
            let scheduler = self.base.spawn(
                first,
                "kube-scheduler",
                with_kubeconfigs("kube-scheduler", &scheduler),
            )?;
            self.control_plane.push(("kube-scheduler", scheduler));
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), "default");
        let begun = Instant::now();
        while !matches!(accounts.get_opt("default").await, Ok(Some(_))) {
            ensure!(
                begun.elapsed() < READY_LIMIT,
                "{}",
                self.log_end("kube-controller-manager")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Forwards a loopback port to the API server, and makes the administrator's kubeconfig and client.
    async fn open_to_this_machine(&mut self) -> Result<()> {
        let address = if self.server.ip().is_loopback() {
            self.server
        } else {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let (address, task) = crate::ports::forward(any, self.server).await?;
            self.tasks.push(task);
            address
        };
        let url = format!("https://{address}");
        self.kubeconfig =
            self.base
                .pki
                .kubeconfig("admin", &url, "admin", Some("system:masters"))?;
        self.client = client_of(&self.kubeconfig).await?;
        Ok(())
    }

    /// Waits until the API server says that it is ready.
    pub(crate) async fn api_ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let request = http_request("/readyz")?;
            if self
                .client
                .request_text(request)
                .await
                .is_ok_and(|text| text == "ok")
            {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < READY_LIMIT,
                "the API server is not ready:\n{}",
                self.log_end("kube-apiserver")
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let begun = Instant::now();
        for task in &self.tasks {
            task.abort();
        }
        self.base.namespaces.end();
        let parts = self.control_plane.iter_mut().map(|(_, part)| part);
        let parts = parts.chain(self.nodes.iter_mut().flat_map(NodeParts::components));
        for part in parts {
            part.wait();
        }
        for node in &mut self.nodes {
            let _ = node.holder.wait();
        }
        say(&format!(
            "torn down in {:.1} s",
            begun.elapsed().as_secs_f64()
        ));
    }
}

/// A client for a kubeconfig's current context.
pub(crate) async fn client_of(kubeconfig: &Path) -> Result<Client> {
    let text = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(text, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Stands in until the real client's certificate is made.
fn offline() -> Result<Client> {
    Ok(Client::try_from(Config::new(
        "http://127.0.0.1:1".parse()?,
    ))?)
}

fn http_request(path: &str) -> Result<http::Request<Vec<u8>>> {
    Ok(http::Request::get(path).body(Vec::new())?)
}

fn is_ready(node: &Node) -> bool {
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|list| {
        list.iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    })
}

/// The nodes' bridge, and a link to this machine that leads no further.
fn network(namespaces: &Namespaces, tools: &Tools, owner: &str) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let first = namespaces.first;
    // The link's name is taken by making it, so that two clusters never share addresses.
    let mut taken = None;
    for number in 0..=u8::MAX {
        let name = format!("bbk{number}");
        let pid = first.to_string();
        let mut add = std::process::Command::new("ip");
        add.args([
            "link", "add", &name, "type", "veth", "peer", "name", "host0", "netns", &pid,
        ]);
        if run(&mut add).is_ok() {
            taken = Some((number, name));
            break;
        }
    }
    let (number, name) = taken.context("could not add a link: are 256 clusters running?")?;
    let (host, inside) = (
        Ipv4Addr::new(10, 98, number, 1),
        Ipv4Addr::new(10, 98, number, 2),
    );
    run(std::process::Command::new("ip").args([
        "addr",
        "add",
        &format!("{host}/24"),
        "dev",
        &name,
    ]))?;
    // The alias tells whose it is: a link that were left behind could be found.
    run(std::process::Command::new("ip").args(["link", "set", &name, "up", "alias", owner]))?;
    let nft = tools.bin.join("nft");
    namespaces.script(
        first,
        &format!(
            "mount --make-rshared /; ip link set lo up; ip addr add {inside}/24 dev host0; ip link set host0 up
             ip link add br0 type bridge; ip addr add {BRIDGE}/24 dev br0; ip link set br0 up
             echo 1 >/proc/sys/net/ipv4/ip_forward
             {nft} 'add table ip out; add chain ip out post {{ type nat hook postrouting priority 100; }};
                    add rule ip out post oifname \"host0\" masquerade'",
            nft = nft.display()
        ),
    )?;
    Ok((host, inside))
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn etcd(data: &Path, [client, peer, ..]: [u16; 4]) -> Vec<String> {
    let (client, peer) = (
        format!("http://127.0.0.1:{client}"),
        format!("http://127.0.0.1:{peer}"),
    );
    words(&format!(
        "etcd --name a --data-dir {} --log-level warn --listen-client-urls {client} --advertise-client-urls {client} \
         --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} --initial-cluster a={peer}",
        data.display()
    ))
}

fn api_server(
    pki: &Path,
    advertise: &str,
    nodes: bool,
    [etcd, _, port, _]: [u16; 4],
) -> Vec<String> {
    let pki = pki.display();
    let bind = if nodes { "0.0.0.0" } else { "127.0.0.1" };
    words(&format!(
        "kube-apiserver --etcd-servers http://127.0.0.1:{etcd} --bind-address {bind} --secure-port {port} \
         --advertise-address {advertise} --tls-cert-file {pki}/apiserver.crt --tls-private-key-file {pki}/apiserver.key \
         --client-ca-file {pki}/ca.crt --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
         --service-account-issuer https://kubernetes.default.svc --service-account-key-file {pki}/sa.pub \
         --service-account-signing-key-file {pki}/sa.key --service-cluster-ip-range 10.96.0.0/16 \
         --kubelet-client-certificate {pki}/apiserver-kubelet.crt --kubelet-client-key {pki}/apiserver-kubelet.key \
         --kubelet-certificate-authority {pki}/ca.crt --kubelet-preferred-address-types InternalIP \
         --default-not-ready-toleration-seconds {EVICTION_SECONDS} \
         --default-unreachable-toleration-seconds {EVICTION_SECONDS} \
         --allow-privileged=true --enable-aggregator-routing=true --requestheader-client-ca-file {pki}/ca.crt --requestheader-allowed-names front-proxy \
         --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
         --requestheader-extra-headers-prefix X-Remote-Extra-"
    ))
}

fn controller_manager(pki: &Path, kubeconfig: &Path, port: u16) -> Vec<String> {
    let pki = pki.display();
    let mut command = with_kubeconfigs("kube-controller-manager", kubeconfig);
    command.extend(words(&format!(
        "--secure-port {port} --use-service-account-credentials --service-account-private-key-file {pki}/sa.key \
         --root-ca-file {pki}/ca.crt --cluster-signing-cert-file {pki}/ca.crt --cluster-signing-key-file {pki}/ca.key \
         --service-cluster-ip-range 10.96.0.0/16 --node-monitor-grace-period {NODE_GRACE} --node-monitor-period 1s"
    )));
    command
}

fn with_kubeconfigs(program: &str, kubeconfig: &Path) -> Vec<String> {
    let path = kubeconfig.display();
    words(&format!(
        "{program} --kubeconfig {path} --authentication-kubeconfig {path} --authorization-kubeconfig {path} \
         --bind-address 127.0.0.1 --leader-elect=false"
    ))
}

#[expect(
    clippy::print_stderr,
    reason = "times are for the person who watches the run"
)]
fn say(text: &str) {
    eprintln!("cluster: {text}");
}
