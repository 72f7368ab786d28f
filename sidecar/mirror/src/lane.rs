//! A lane: the one task that copies the records of one type to their table, in the strand's order, one
//! request in flight. The invariant: its mark never passes a record that is neither in the table nor a
//! dead letter, and it sends nothing that lies behind the last seq that the phase mirrors. A crash between
//! the table and the mark sends rows again, which their `record_hash` or key makes harmless.
//!
//! The lane's state and its waking and resting are in `task`; one step is in `turn`, the sending in
//! `deliver`, what follows from an answer in `settle`, dead letters sent again in `replay`, what differs from the strand in `repair`.

mod aside;
mod deliver;
mod doubt;
mod repair;
mod replay;
mod scan;
mod settle;
mod task;
mod turn;
mod work;

pub(crate) use task::{Lane, Setup};
