//! A real Kubernetes of this machine's own: etcd, the control plane and nodes in namespaces made for one run,
//! without Docker. All of it ends with the process that started it, however that ends. It is for tests and for
//! trying the product; it is not for serving anybody.

mod base;
mod breakable;
mod cluster;
pub mod doctor;
mod faults;
mod images;
mod kubelet;
mod namespaces;
mod pki;
mod pods;
mod ports;
mod storage;
mod tools;

pub use base::Component;
pub use breakable::{Breakable, Slot};
pub use cluster::{Cluster, Tier};
pub use faults::{ControlPlane, NodePart};
pub use images::{release_images, test_images};
pub use pods::{TestNamespace, wait_for};
pub use ports::forward;
