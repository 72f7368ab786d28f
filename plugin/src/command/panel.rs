//! `panel`: the page of one sidecar in the browser.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::ending::Ending;
use crate::reading::Reader;
use crate::sidecar::{Sidecar, forward};
use crate::terminal::Terminal;

/// Programs that open a URL, on Linux and on macOS.
const OPENERS: [&str; 2] = ["xdg-open", "open"];

/// Which pod, and where.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct PanelOptions {
    /// Name of the pod.
    pod: String,
    /// Port on this machine. Default: one that is free.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Prints the address and opens no browser.
    #[arg(long)]
    no_open: bool,
}

/// Leads a port of this machine to the sidecar, until it is interrupted.
pub(crate) async fn panel(
    reader: &Reader,
    terminal: &Terminal,
    options: &PanelOptions,
) -> Result<Ending> {
    let namespace = reader.one_namespace()?.to_owned();
    // A pod that can't be reached is told now, and not by an empty page.
    let mut sidecar = Sidecar::connect(reader, &namespace, &options.pod).await?;
    let _: serde_json::Value = sidecar.json("GET", "/v1/health").await?;
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await;
    let listener =
        listener.with_context(|| format!("--port: can't listen on 127.0.0.1:{}", options.port))?;
    let url = format!("http://localhost:{}/", listener.local_addr()?.port());
    terminal.show_next(&json!({"url": url}), || {
        format!(
            "{url} leads to the panel of pod {} until you press Ctrl-C",
            options.pod
        )
    })?;
    if !options.no_open {
        open(&url).await;
    }
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let (reader, namespace, pod) = (reader.clone(), namespace.clone(), options.pod.clone());
                tokio::spawn(async move {
                    if let Err(error) = carry(&reader, &namespace, &pod, stream).await {
                        Terminal::tell(&format!("a connection to pod {pod} ended: {error:#}"));
                    }
                });
            }
            _ = tokio::signal::ctrl_c() => return Ok(Ending::Well),
        }
    }
}

async fn carry(reader: &Reader, namespace: &str, pod: &str, mut here: TcpStream) -> Result<()> {
    let (_forwarder, mut there) = forward(reader, namespace, pod).await?;
    // A browser that goes away ends a connection in its own way.
    let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
    Ok(())
}

async fn open(url: &str) {
    for program in OPENERS {
        let mut command = Command::new(program);
        command
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if command.status().await.is_ok_and(|status| status.success()) {
            return;
        }
    }
    Terminal::tell("no browser could be opened: open the address yourself");
}
