//! Verifiers and a witness that others wrote, as programs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use boboyka_tlog::witness::{AddCheckpoint, Answer};
use tempfile::TempDir;

use crate::process::{GUARD, Process, free_address, wait_until};
use crate::provisioned;

/// The name under which the witness signs.
pub const WITNESS: &str = "witness.example/w1";
/// The seed of its key, in hexadecimal.
const SEED: &str = "0909090909090909090909090909090909090909090909090909090909090909";
/// Its key.
pub const WITNESS_KEY: &str =
    "witness.example/w1+24b5d9fe+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";

/// Checks the log below a prefix, which is a folder or a URL, with `golang.org/x/mod`: signature, every tile, every entry,
/// the chain of headers. More arguments name older checkpoints, proofs and witnesses.
///
/// # Errors
/// What does not hold.
pub fn check(prefix: &str, vkey: &str, more: &[&str]) -> Result<(), String> {
    verified(&[&["check", prefix, vkey], more].concat())
}

/// Checks the log below a prefix with Tessera's fsck: every tile made again of the entries.
///
/// # Errors
/// What does not hold.
pub fn fsck(prefix: &str, vkey: &str) -> Result<(), String> {
    verified(&["fsck", prefix, vkey])
}

fn verified(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("timeout")
        .arg(GUARD.as_secs().to_string())
        .arg(provisioned::verifiers().join("verifiers"))
        .args(arguments)
        .output()
        .unwrap();
    let has_ended = output.status.code() != Some(124);
    assert!(has_ended, "{arguments:?}: no end after {GUARD:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && said.ends_with("ok\n") {
        return Ok(());
    }
    Err(format!("{said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Has the litewitness of a folder trust the log of this key.
fn trust(folder: &TempDir, vkey: &str) {
    let database = folder.path().join("witness.db");
    verified(&["trust", database.to_str().unwrap(), vkey]).unwrap();
}

/// A running litewitness that trusts some logs.
#[derive(Debug)]
pub struct Litewitness {
    process: Option<Process>,
    agent: Process,
    address: SocketAddr,
    folder: TempDir,
    client: reqwest::Client,
}

impl Litewitness {
    /// Starts one that trusts the logs of these keys.
    pub async fn start(vkeys: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let verifiers = provisioned::verifiers().join("verifiers");
        for vkey in vkeys {
            trust(&folder, vkey);
        }
        let mut agent = Command::new(verifiers);
        agent
            .arg("agent")
            .arg(folder.path().join("agent"))
            .arg(SEED);
        let agent = Process::start(&mut agent, &folder.path().join("agent.log"));
        wait_until(
            GUARD,
            || std::future::ready(agent.has_printed("SHA256:")),
            || "the agent did not start".to_owned(),
        )
        .await;
        let mut witness = Self {
            process: None,
            agent,
            address: free_address(),
            folder,
            client: crate::client::client(),
        };
        witness.restart().await;
        witness
    }

    /// Trusts one more log from now on.
    pub fn trust(&self, vkey: &str) {
        trust(&self.folder, vkey);
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Ends it and starts it again on its database.
    pub async fn restart(&mut self) {
        self.process = None;
        let mut command = Command::new(provisioned::verifiers().join("litewitness"));
        let file = |name| self.folder.path().join(name);
        command.args(["-name", WITNESS, "-key", self.agent.log().trim()]);
        command.args(["-listen", &self.address.to_string()]);
        command.arg("-db").arg(file("witness.db"));
        command.arg("-ssh-agent").arg(file("agent"));
        let mut process = Process::start(&mut command, &file("witness.log"));
        wait_until(
            GUARD,
            || {
                assert!(
                    !process.has_ended(),
                    "litewitness ended:\n{}",
                    process.log()
                );
                let answer = self.client.get(self.url("")).send();
                async move { answer.await.is_ok() }
            },
            || "litewitness did not answer".to_owned(),
        )
        .await;
        self.process = Some(process);
    }

    /// The URL of a path; without one the prefix for `add-checkpoint`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Asks it to cosign; its status and what that means.
    pub async fn add(&self, request: &AddCheckpoint) -> (u16, Answer) {
        add_checkpoint(&self.url(""), &request.to_string()).await
    }
}

/// Posts a body to `add-checkpoint` below a witness's prefix; the status and what that means.
pub async fn add_checkpoint(prefix: &str, body: &str) -> (u16, Answer) {
    let url = format!("{}/add-checkpoint", prefix.trim_end_matches('/'));
    let post = crate::client().post(url).body(body.to_owned());
    let answer = post.timeout(Duration::from_mins(1)).send().await.unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers().get("content-type").cloned();
    let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
    let kind = kind.map(str::to_owned);
    let body = answer.text().await.unwrap();
    (status, Answer::read(status, kind.as_deref(), &body))
}

/// Serves the files of a folder; gives the URL.
pub async fn serve(folder: &Path) -> String {
    let folder = folder.to_owned();
    let files = move |uri: axum::http::Uri| {
        let path = folder.join(uri.path().trim_start_matches('/'));
        async move { std::fs::read(path).map_err(|_| axum::http::StatusCode::NOT_FOUND) }
    };
    let address = crate::serve(axum::Router::new().fallback(files)).await;
    format!("http://{address}/")
}
