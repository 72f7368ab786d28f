//! The subject: the real sidecar as a process, and what it is asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use boboyka_strand::Seq;
use boboyka_tests::process::{GREETING, GUARD, Process, free_address, signal};
use serde_json::{Value, json};

use crate::Tools;
use crate::drive::{key, keyed_data};
use crate::record::Promise;

/// When requests are under way: less than a slow sync takes.
const UNDER_WAY: Duration = Duration::from_millis(10);

/// A sidecar that runs.
pub(crate) struct Subject {
    process: Process,
    listen: SocketAddr,
    client: reqwest::Client,
}

impl Subject {
    /// Starts the sidecar on a data folder; its log if it does not start.
    pub(crate) async fn start(
        tools: &Tools,
        data: &Path,
        prepare: impl Fn(&mut Command),
    ) -> Result<Self, String> {
        loop {
            match Self::start_once(tools, data, &prepare).await {
                // Somebody else took the port in the meantime.
                Err(log) if log.contains("Address already in use") => {}
                started => return started,
            }
        }
    }

    async fn start_once(
        tools: &Tools,
        data: &Path,
        prepare: &impl Fn(&mut Command),
    ) -> Result<Self, String> {
        let (listen, observe) = (free_address(), free_address());
        let mut command = Command::new(&tools.sidecar);
        command
            .arg("--data-dir")
            .arg(data)
            .args(["--min-free-bytes", "0"]);
        command.args([
            "--listen",
            &listen.to_string(),
            "--observe",
            &observe.to_string(),
        ]);
        for name in [
            "BOBOYKA_SUPABASE_URL",
            "BOBOYKA_SUPABASE_KEY",
            "BOBOYKA_SUPABASE_DIR",
        ] {
            command.env_remove(name);
        }
        prepare(&mut command);
        let log = tools.path(&format!("sidecar {}.log", listen.port()));
        let mut process = Process::start(&mut command, &log);
        let begun = Instant::now();
        while !process.has_ended() && begun.elapsed() < GUARD {
            if process.has_printed(GREETING) {
                return Ok(Self {
                    process,
                    listen,
                    client: boboyka_tests::client(),
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(process.log())
    }

    /// Its process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Gets JSON, the last line of it: status and body.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, Value), String> {
        self.answer(self.client.get(format!("http://{}{path}", self.listen)))
            .await
    }

    /// Gets text: status and body.
    pub(crate) async fn text(&self, path: &str) -> Result<(u16, String), String> {
        let request = self.client.get(format!("http://{}{path}", self.listen));
        let answer = request
            .send()
            .await
            .map_err(|error| format!("no answer: {error:?}"))?;
        let status = answer.status().as_u16();
        let text = answer.text().await;
        text.map(|text| (status, text))
            .map_err(|error| format!("half an answer: {error:?}"))
    }

    /// Appends a record: status and body.
    pub(crate) async fn ingest(&self, n: u64) -> Result<(u16, Value), String> {
        let data = json!({"agent_id": "a", "event": "e", "n": n});
        let body = json!({"record_type": "audit_log", "data": data}).to_string();
        let request = self
            .client
            .post(format!("http://{}/v1/boboyka/ingest", self.listen));
        let request = request.header("content-type", "application/json");
        self.answer(request.body(body)).await
    }

    /// Appends three records at a time, for a number of rounds, and adds them to the promise.
    pub(crate) async fn load(&self, rounds: u64, promise: &mut Promise) -> Result<(), String> {
        for round in 0..rounds {
            let (a, b, c) =
                tokio::join!(self.ingest(round), self.ingest(round), self.ingest(round));
            for answer in [a, b, c] {
                promise.acked.push(receipt(&answer?)?);
            }
        }
        Ok(())
    }

    /// Kills it while it works on three records, and adds those to the promise that it has answered all the same.
    pub(crate) async fn kill_under_load(&mut self, promise: &mut Promise) {
        let pid = self.process.pid().to_string();
        let kill = async {
            tokio::time::sleep(UNDER_WAY).await;
            signal(&pid, "KILL");
        };
        let (a, b, c, ()) = tokio::join!(self.ingest(0), self.ingest(0), self.ingest(0), kill);
        let answered = [a, b, c].into_iter().flatten();
        promise
            .acked
            .extend(answered.filter_map(|answer| receipt(&answer).ok()));
        self.process.kill();
    }

    /// Appends a record with a key: status and body.
    pub(crate) async fn ingest_again(&self, n: u64) -> Result<(u16, Value), String> {
        let body = json!({"record_type": "audit_log", "data": keyed_data(n)}).to_string();
        let request = self
            .client
            .post(format!("http://{}/v1/boboyka/ingest", self.listen))
            .header("content-type", "application/json")
            .header("idempotency-key", key(n));
        self.answer(request.body(body)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value), String> {
        let answer = request
            .send()
            .await
            .map_err(|error| format!("no answer: {error:?}"))?;
        let status = answer.status().as_u16();
        let text = answer
            .text()
            .await
            .map_err(|error| format!("half an answer: {error:?}"))?;
        let last = text.trim_end().lines().last().unwrap_or_default();
        let body = serde_json::from_str(last).map_err(|error| format!("{error}: {last}"))?;
        Ok((status, body))
    }

    /// All records of the feed, and what it says is missing.
    pub(crate) async fn walk(&self) -> Result<(BTreeMap<Seq, String>, Vec<Value>), String> {
        let (mut found, mut missing, mut cursor) = (BTreeMap::new(), Vec::new(), String::new());
        loop {
            let (status, page) = self
                .get(&format!("/v1/boboyka/events?limit=1000{cursor}"))
                .await?;
            if status != 200 {
                return Err(format!("the feed ends with {status}: {page}"));
            }
            for event in page["events"].as_array().into_iter().flatten() {
                let hash = event["record_hash"].as_str().unwrap_or_default().to_owned();
                found.insert(event["seq"].as_u64().unwrap_or_default(), hash);
            }
            missing.extend(page["missing"].as_array().into_iter().flatten().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok((found, missing)),
            }
        }
    }
}

/// Seq and hash of a record that was acknowledged.
fn receipt((status, body): &(u16, Value)) -> Result<(Seq, String), String> {
    match (status, body["seq"].as_u64(), body["record_hash"].as_str()) {
        (200, Some(seq), Some(hash)) => Ok((seq, hash.to_owned())),
        _ => Err(format!("an ingest gets {status}: {body}")),
    }
}
