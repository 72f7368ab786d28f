//! Links the programs of a cluster into one folder. The provisioning script prints where they are.

use std::collections::HashMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::namespaces::run;

const KUBERNETES: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
];
const DEBIAN: [&str; 5] = [
    "etcd",
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "runc",
];

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) bin: PathBuf,
    pub(crate) cni: PathBuf,
}

impl Tools {
    /// Links them into a folder.
    pub(crate) fn link(bin: &Path) -> Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/provision.sh");
        let told = run(Command::new("bash").args([script, "--where-cluster"]))?;
        let told: HashMap<&str, &str> = told
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let place = |name: &str| {
            told.get(name)
                .map(Path::new)
                .with_context(|| format!("tools/provision.sh prints no {name}"))
        };
        let debian = place("DEBIAN_ROOT")?;
        std::fs::create_dir_all(bin)?;
        for tool in KUBERNETES {
            link(&place("KUBERNETES_BIN")?.join(tool), &bin.join(tool))?;
        }
        for tool in DEBIAN {
            link(&debian.join("usr/bin").join(tool), &bin.join(tool))?;
        }
        link(&place("HELM_BIN")?.join("helm"), &bin.join("helm"))?;
        // Its libraries are not where the system looks for them.
        let nft = bin.join("nft");
        let libraries = place("DEBIAN_LIBS")?.display();
        let program = debian.join("usr/sbin/nft");
        std::fs::write(
            &nft,
            format!(
                "#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {} \"$@\"\n",
                program.display()
            ),
        )?;
        std::fs::set_permissions(&nft, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self {
            bin: bin.to_owned(),
            cni: debian.join("usr/lib/cni"),
        })
    }

    /// The PATH that the cluster's parts have.
    pub(crate) fn path(&self) -> String {
        let system = std::env::var("PATH").unwrap_or_default();
        format!("{}:{system}:/usr/sbin:/sbin", self.bin.display())
    }
}

fn link(program: &Path, place: &Path) -> Result<()> {
    let _ = std::fs::remove_file(place);
    symlink(program, place).with_context(|| format!("could not link {}", place.display()))
}
