//! The controller, on the replica that leads: brings each integration to what it asks for, and says how it stands.
//!
//! A look at an integration reads as one sentence: observe, validate, plan, apply, status, publish. `observe` alone
//! reads, and from the caches. `apply`, `label`, `publish` and `sweep` write. All the rest is pure: the time is an argument.

mod apply;
mod error;
mod label;
mod leader;
mod memory;
mod news;
mod observe;
mod plan;
mod publish;
mod queue;
mod reconcile;
mod reports;
mod rollout;
mod seen;
mod status;
mod sweep;
mod workload;

pub(crate) use leader::{Leader, Settings};
pub(crate) use reconcile::run;
