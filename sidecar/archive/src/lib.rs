//! A strand's archive: its sealed segments as objects of an S3-compatible store, or as files of a folder, each written once.
//!
//! An [`Archiver`] asks the archive for every segment that is due, uploads those that are not there, and puts the newest
//! signed checkpoint beside them. What it has seen there is known for as long as the process runs: a start asks again, because
//! retention deletes what the archive holds. The crate knows neither the store nor axum: [`Source`] is what it needs of a strand.

mod archiver;
mod bucket;
mod fault;
mod head;
mod name;
mod presence;
mod settings;
mod source;
mod status;

pub use archiver::Archiver;
pub use boboyka_crds::{Place, PlaceError};
pub use bucket::Bucket;
pub use fault::{Fault, Kind};
pub use head::{CHECKPOINT, CONSISTENCY, Signed};
pub use name::{Listing, Range};
pub use presence::hexadecimal;
pub use settings::Settings;
pub use source::{Digest, Identity, Segment, Source, SourceError};
pub use status::ArchiveStatus;
