//! The handle on an open strand, through which everything goes: appending and watching in `handle`, what
//! lanes, phases and retention ask in `change`, reading in `read`, reading the past in `past`, its transparency log in `tlog`,
//! checking in `verify`, what archive and restore need in `archive` and `restore`.

mod archive;
mod change;
mod handle;
mod past;
mod read;
mod restore;
mod tlog;
mod verify;

pub use handle::Store;
pub use tlog::{Proof, TlogKey, TlogStatus, prove_offline, root_offline};
pub use verify::verify_offline;
