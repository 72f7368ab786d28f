//! Comparing the tables with the strand: whether Supabase holds exactly what the lanes sent.
//!
//! The invariant: nothing is called missing that the lane has not settled, and nothing is called equal that
//! was not compared. What can't be compared is unknown, with the reason.
//!
//! `kind`, `time`, `columns`, `digest`, `compare`, `states` and `spans` are pure: how a value reads in a column, which
//! columns are compared, the digest of a row, what a difference is, and which span of the strand comes next.
//! `expected` reads the strand, `found` asks Supabase, `span` compares a span of the strand, `watched` is what is
//! known of one lane, `foreign` counts rows that no strand wrote, and `checker` is the one task that does all of
//! it, at a bounded rate.

mod checker;
mod columns;
mod compare;
mod digest;
mod expected;
mod foreign;
mod found;
mod kind;
mod reach;
mod span;
mod spans;
mod states;
mod time;
mod watched;

pub(crate) use checker::{Checker, CheckerSetup, Request};
pub(crate) use watched::ComparedLane;
