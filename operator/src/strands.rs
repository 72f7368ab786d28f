//! Everything about strands: which one a pod gets, what is written about them, and whether their heads hold.
//!
//! `choice`, `placement`, `requester`, `change`, `held`, `slot` and `witness` are pure. `writer` alone writes strands and the
//! claims on their volumes; `give` retries until a pod has a strand, and `throttle` bounds what it writes.

pub(crate) mod change;
pub(crate) mod choice;
pub(crate) mod give;
mod given;
pub(crate) mod held;
mod placement;
pub(crate) mod refusal;
pub(crate) mod requester;
pub(crate) mod slot;
mod throttle;
pub(crate) mod witness;
pub(crate) mod writer;
