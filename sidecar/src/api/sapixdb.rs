//! The API of SapixDB, as far as its published client asks for it: `docs/sapixdb.md`. An agent of the client is a record
//! type or a collection of documents, see `scope`.

mod absent;
mod answer;
mod delete;
mod earlier;
mod events;
mod matches;
mod moment;
mod query;
mod read;
mod routes;
mod scope;
mod search;
mod select;
mod stream;
mod walk;
mod whole;
mod wire;
mod write;

pub(super) use self::routes::routes;
#[cfg(test)]
pub(super) use search::READ_MAX;
