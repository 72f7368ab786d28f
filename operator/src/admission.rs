//! The calls by which the API server asks about pods that are to be created, and about changes of integrations. Every replica
//! answers them.
//!
//! `server` serves https, `places` bounds its connections, `paths` knows who is an API server, `review` reads and answers
//! reviews, `servable` knows which pods can't be served, `decide` decides about one pod, `inject` patches it, `sign` notes
//! who changes an integration.

pub(crate) mod decide;
pub(crate) mod decision;
mod inject;
pub(crate) mod paths;
pub(crate) mod places;
pub(crate) mod review;
mod servable;
pub(crate) mod server;
mod sign;
