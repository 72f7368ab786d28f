//! Every route of the sidecar's own API, each with what the contract says of it. SapixDB's are in `sapixdb`.

mod log;
mod mirror;
mod past;
mod reading;
mod writing;

use super::route::Routes;

/// Takes them all.
pub(super) fn own<R: Routes>(routes: R) -> R {
    let routes = writing::routes(routes);
    let routes = reading::routes(routes);
    let routes = past::routes(routes);
    let routes = log::routes(routes);
    mirror::routes(routes)
}
