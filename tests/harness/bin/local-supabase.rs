//! A Supabase of this machine's own, for trying the product by hand: starts it, starts the sidecar
//! beside it, ends both with Ctrl-C, and throws away what both held.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::process::Command;

use boboyka_tests::{Supabase, sidecar};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let supabase = Supabase::start().await;
    println!(
        "Supabase's REST API is at {}/rest/v1, its tables are empty.",
        supabase.url()
    );
    println!(
        "To see the rows:  curl -sS {}/rest/v1/agent_health \\",
        supabase.url()
    );
    println!(
        "  -H 'apikey: {0}' -H 'authorization: Bearer {0}'    (the key is a test's own)",
        supabase.jwt_key()
    );
    // A kept strand would remember having mirrored to a Supabase that is gone.
    let strand = tempfile::tempdir()?;
    let mut sidecar = Command::new(sidecar::binary())
        .arg("--supabase-dir")
        .arg(supabase.folder())
        .arg("--data-dir")
        .arg(strand.path())
        .spawn()?;
    // Ctrl-C reaches both; the sidecar drains, then Supabase goes.
    tokio::signal::ctrl_c().await?;
    sidecar.wait()?;
    Ok(())
}
