//! The product from outside: the real sidecar, and a real Postgres and PostgREST behind it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test that panics says where"
)]

mod archive;
mod archive_faults;
mod audit;
mod audit_sidecar;
mod backfill;
mod book;
mod bounds;
mod clients;
mod cosigning;
mod documents;
mod durability;
mod ends;
mod foreign_writes;
mod idle;
mod inside;
mod kills;
mod laptop;
mod laptop_archive;
mod laptop_clocks;
mod laptop_evidence;
mod laptop_hold;
mod laptop_kills;
mod laptop_legacy;
mod laptop_migration;
mod laptop_phases;
mod local_supabase;
mod log_copies;
mod log_lives;
mod mirror;
mod mirror_lanes;
mod mirror_modes;
mod mirror_rows;
mod observers;
mod page;
mod panel;
mod parity;
mod parity_values;
mod past;
mod phases;
mod purity;
mod python_fixtures;
mod refusals;
mod restore;
mod retention;
mod retention_by_type;
mod secrecy;
mod stream;
mod suites;
mod tlog;
mod traces;
mod units;
mod verifiers;
mod witnesses;
mod words;
