//! The strand as it was at a moment of its past: the newest version of a key, all of them, all keys, and counts.
//!
//! A moment is a head: what a reader sees at it never changes, except that retention takes the oldest of it away. What
//! can't be known is named: lost records, a segment that can't be read; what was pruned lies below the floor.

mod blocks;
mod counts;
mod find;
mod history;
mod list;
mod moment;

pub use counts::Counts;
pub use history::{History, HistoryQuery, Version};
pub use list::{States, StatesQuery};
pub use moment::{AsOf, MomentError};

pub(crate) use counts::counts;
pub(crate) use history::{history, newest};
pub(crate) use list::states;
pub(crate) use moment::resolve;
