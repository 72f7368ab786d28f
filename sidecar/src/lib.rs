//! The sidecar: takes records on localhost, keeps them in a strand, mirrors them to Supabase.
//!
//! [`command`] has what the program can do. Serving opens the store, starts the mirror and both listeners, and
//! ends them all with one signal. Handlers and lanes never call each other: they meet in the store.

mod api;
mod api_key;
mod archive;
pub mod audit;
mod checkpoints;
mod cluster;
pub mod command;
pub mod config;
mod cosigning;
mod file;
mod health;
pub mod integration;
mod last_hour;
pub mod log;
pub mod mirroring;
mod panel;
pub mod phase;
mod process;
pub mod prune;
mod report;
mod server;
mod signals;
mod standalone;
mod traces;
mod trouble;
mod upkeep;

#[doc(hidden)]
pub use api::fuzzing;
pub use api::{KeyError, contract};
pub use process::RunError;
pub use server::listen::{ListenAddress, ListenAddressError};
