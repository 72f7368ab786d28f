//! The resources a cluster knows us by: `BoboykaIntegration`, which a platform team writes, and `BoboykaStrand`, which
//! the operator and one sidecar write.
//!
//! Ground: types, rules and names, without a client, a runtime or a clock. [`rules`] holds each rule once, as CEL for
//! the API server and as Rust for files and for the operator. The YAML in `yaml/` is generated from here by `crdgen`.

mod definition;
mod integration;
pub mod names;
mod phase;
pub mod quantity;
pub mod rules;
mod strand;

pub use definition::{definitions, to_yaml};
pub use integration::{
    BoboykaIntegration, BoboykaIntegrationSpec, Ephemeral, Gate, IntegrationStatus, Mirror,
    Reclaim, Retention, SecretReference, Sidecar, Storage, StrandCounts, Supabase, Transition,
};
pub use phase::Phase;
pub use strand::{
    BoboykaStrand, BoboykaStrandSpec, Boundary, Chain, HeadReference, Holder, LaneStatus, Slot,
    StrandStatus,
};
