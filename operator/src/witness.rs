//! The operator as a witness of the strands' transparency logs (<https://c2sp.org/tlog-witness>). Every replica answers.
//!
//! A log's key is trusted when the sidecar that holds the strand reported it, and no other key for that origin after that.
//! What was cosigned is remembered in `ConfigMap`s of the operator's own namespace, each written with the version that was
//! read, before the cosignature leaves: so no size gets two roots, however many replicas there are and whenever they end. They
//! outlive the strands' resources, and a write of one holds many strands.
//!
//! `memory`, `origin` and `judge` are pure. `shard` writes one of the `ConfigMap`s, which `map` is, by batches; `requests`
//! speaks HTTP, `strands` knows what sidecars report.

mod batch;
mod judge;
mod map;
mod memory;
mod origin;
mod requests;
mod shard;
mod shards;
mod strands;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::caches::Caches;
use crate::context::Context;
use crate::serving;
use crate::witness_key::WitnessKey;
use requests::Requests;
use shards::Shards;
use strands::Strands;

/// Serves until the signal.
pub(crate) async fn serve(
    listener: TcpListener,
    key: Arc<WitnessKey>,
    context: &Context,
    caches: Caches,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let strands = Strands::new(context.client.clone(), caches);
    let shards = Shards::start(
        &context.client,
        &context.config.namespace,
        &strands,
        &shutdown,
    );
    let requests = Requests::new(Arc::clone(&key), shards);
    let keeping = key.keep(shutdown.clone());
    let serving = serving::plain(listener, requests.router(), shutdown);
    let ((), served) = tokio::join!(keeping, serving);
    served
}
