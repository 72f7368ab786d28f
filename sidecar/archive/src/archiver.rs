//! The archiver: looks what is due, asks the archive for it, uploads what is not there, and puts the checkpoint beside it.

mod checkpoint;
mod hold;
mod rounds;

pub use rounds::Archiver;
