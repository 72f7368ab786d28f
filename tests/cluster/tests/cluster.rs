//! The cluster itself, on the real thing: it comes up, goes away, and breaks as it is told.

use std::path::PathBuf;

use anyhow::Result;
use boboyka_cluster::image::Image;
use boboyka_cluster::{Cluster, Tier};

fn images() -> Result<Vec<PathBuf>> {
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");
    let built = PathBuf::from(target).join("static/x86_64-unknown-linux-gnu/debug");
    let place = PathBuf::from(target).join("images");
    ["boboyka-sidecar", "boboyka-probe"]
        .iter()
        .map(|name| Image::of_program(&format!("localhost/{name}:test"), &built.join(name))?.write(&place.join(format!("{name}.tar"))))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_up() -> Result<()> {
    let cluster = Cluster::start(Tier::Nodes(2), &images()?).await?;
    drop(cluster);
    Ok(())
}
