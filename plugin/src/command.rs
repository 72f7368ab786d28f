//! The commands, each from the question to the answer.

pub(crate) mod check;
pub(crate) mod dead_letters;
pub(crate) mod drain;
pub(crate) mod events;
pub(crate) mod fence;
pub(crate) mod install;
pub(crate) mod panel;
pub(crate) mod phase;
pub(crate) mod repair;
pub(crate) mod report;
pub(crate) mod status;
pub(crate) mod verify;
pub(crate) mod why;
