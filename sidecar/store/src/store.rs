//! The handle on an open strand, through which everything goes: appending and watching in `handle`, what
//! lanes, phases and retention ask in `change`, reading in `read`, reading the past in `past`, checking in `verify`.

mod change;
mod handle;
mod past;
mod read;
mod verify;

pub use handle::Store;
pub use verify::verify_offline;
