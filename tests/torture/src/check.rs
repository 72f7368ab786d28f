//! The check of one state: the real sidecar starts on it and is asked for everything that was promised.

mod signed;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use boboyka_strand::Seq;
use boboyka_tests::process::{GREETING, GUARD, Process, free_address};
use serde_json::{Value, json};

use crate::Tools;
use crate::drive::{key, keyed_data};
use crate::record::Promise;

/// Of the acknowledged records, how many are asked for by their hash beside the walk.
const BY_HASH: usize = 12;

/// What became of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is there, and nothing is told that is not so.
    Whole,
    /// Something is lost, and told.
    ToldLoss(String),
    /// Something is lost, and nothing says so.
    SilentLoss(String),
    /// Nothing is lost, and something says so.
    FalseAlarm(String),
    /// It does not start, panics, or answers wrong.
    Wrong(String),
}

/// A sidecar that runs.
pub struct Subject {
    process: Process,
    listen: SocketAddr,
    client: reqwest::Client,
}

impl Subject {
    /// Starts the sidecar on a data folder; its log if it does not start.
    ///
    /// # Errors
    /// Its log.
    pub async fn start(
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
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Gets JSON, the last line of it: status and body.
    pub async fn get(&self, path: &str) -> Result<(u16, Value), String> {
        self.answer(self.client.get(format!("http://{}{path}", self.listen)))
            .await
    }

    /// Appends a record: status and body.
    pub async fn ingest(&self, n: u64) -> Result<(u16, Value), String> {
        let data = json!({"agent_id": "a", "event": "e", "n": n});
        let body = json!({"record_type": "audit_log", "data": data}).to_string();
        let request = self
            .client
            .post(format!("http://{}/v1/boboyka/ingest", self.listen));
        let request = request.header("content-type", "application/json");
        self.answer(request.body(body)).await
    }

    /// Appends a record with a key: status and body.
    async fn ingest_again(&self, n: u64) -> Result<(u16, Value), String> {
        let body = json!({"record_type": "audit_log", "data": keyed_data(n)}).to_string();
        let request = self
            .client
            .post(format!("http://{}/v1/boboyka/ingest", self.listen))
            .header("content-type", "application/json")
            .header("idempotency-key", key(n));
        self.answer(request.body(body)).await
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
    async fn walk(&self) -> Result<(BTreeMap<Seq, String>, Vec<Value>), String> {
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

/// What the sidecar says of a strand.
struct Told {
    floor: Seq,
    /// What it calls damaged or lost.
    complaints: Vec<String>,
    held: BTreeMap<Seq, String>,
}

/// Starts the sidecar on a data folder and compares what it holds with what was promised.
pub async fn check(tools: &Tools, data: &Path, promise: &Promise) -> Outcome {
    let outcome = checked(tools, data, promise).await;
    outcome.unwrap_or_else(|wrong| Outcome::Wrong(brief(&wrong)))
}

async fn checked(tools: &Tools, data: &Path, promise: &Promise) -> Result<Outcome, String> {
    let mut subject = Subject::start(tools, data, |_| {})
        .await
        .map_err(|log| format!("the sidecar does not start: {log}"))?;
    let told = ask(&subject).await?;
    let outcome = compare(&subject, &told, promise).await?;
    let outcome = match signed::check(&subject, &promise.checkpoints).await? {
        Some(why) if outcome == Outcome::Whole => Outcome::FalseAlarm(why),
        _ => outcome,
    };
    let log = subject.process.log();
    if log.contains("panicked") {
        return Err(format!("a panic: {log}"));
    }
    if matches!(outcome, Outcome::SilentLoss(_)) {
        return Ok(outcome);
    }
    // What comes next goes above everything that was acknowledged, and is there after a kill.
    let (status, receipt) = subject.ingest(0).await?;
    let newest = promise.acked.iter().map(|(seq, _)| *seq).max().unwrap_or(0);
    let seq = receipt["seq"].as_u64().unwrap_or_default();
    if status != 200 || seq <= newest {
        return Err(format!(
            "after seq {newest}, an ingest gets {status}: {receipt}"
        ));
    }
    subject.process.kill();
    let again = Subject::start(tools, data, |_| {})
        .await
        .map_err(|log| format!("the sidecar does not start a second time: {log}"))?;
    let after = ask(&again).await?;
    if after.held.get(&seq).map(String::as_str) != receipt["record_hash"].as_str() {
        return Err(format!("the record {seq} of the second life is gone"));
    }
    if let Some((seq, _)) = told
        .held
        .iter()
        .find(|(seq, hash)| after.held.get(seq) != Some(hash))
    {
        return Err(format!("the record {seq} is gone after the second start"));
    }
    if outcome == Outcome::Whole && !after.complaints.is_empty() {
        let complaint = format!("after the second start: {}", after.complaints.join("; "));
        return Ok(Outcome::FalseAlarm(brief(&complaint)));
    }
    Ok(outcome)
}

async fn ask(subject: &Subject) -> Result<Told, String> {
    let (_, status) = subject.get("/v1/boboyka/status").await?;
    let (code, verdict) = subject.get("/v1/boboyka/verify").await?;
    let (held, missing) = subject.walk().await?;
    let mut complaints: Vec<String> = missing.iter().map(|one| format!("missing {one}")).collect();
    let quarantined = status["strand"]["quarantined"]
        .as_array()
        .into_iter()
        .flatten();
    complaints.extend(quarantined.map(|one| format!("quarantined {one}")));
    if code != 200 || verdict["ok"] != true {
        complaints.push(format!("verify says {verdict}"));
    }
    Ok(Told {
        floor: status["strand"]["floor"]["seq"]
            .as_u64()
            .unwrap_or_default(),
        complaints,
        held,
    })
}

async fn compare(subject: &Subject, told: &Told, promise: &Promise) -> Result<Outcome, String> {
    if told.floor > promise.floor_max || told.floor < promise.floor_min {
        let (min, max, floor) = (promise.floor_min, promise.floor_max, told.floor);
        return Err(format!("the floor is {floor} instead of {min} to {max}"));
    }
    let mut lost = Vec::new();
    for (seq, hash) in promise.acked.iter().filter(|(seq, _)| *seq > told.floor) {
        match told.held.get(seq) {
            Some(held) if held == hash => {}
            Some(held) => return Err(format!("the record {seq} is {held} instead of {hash}")),
            None => lost.push(*seq),
        }
    }
    by_hash(subject, told, promise, &lost).await?;
    let complaints = told.complaints.join("; ");
    Ok(match (lost.as_slice(), complaints.is_empty()) {
        ([], true) => Outcome::Whole,
        ([], false) => Outcome::FalseAlarm(brief(&complaints)),
        ([first, ..], silent) => {
            let end = lost.last().copied().unwrap_or_default();
            let all = promise.acked.len();
            let what = format!(
                "{} of {all} acknowledged are gone, seq {first} to {end}; {complaints}",
                lost.len()
            );
            if silent {
                Outcome::SilentLoss(what)
            } else {
                Outcome::ToldLoss(brief(&what))
            }
        }
    })
}

/// Receipts keep their word: a record that is there is found by its hash, and one that is lost is not just unknown.
async fn by_hash(
    subject: &Subject,
    told: &Told,
    promise: &Promise,
    lost: &[Seq],
) -> Result<(), String> {
    let above = promise.acked.iter().filter(|(seq, _)| *seq > told.floor);
    let mut asked: Vec<_> = above.collect();
    fastrand::shuffle(&mut asked);
    asked.sort_by_key(|(seq, _)| !lost.contains(seq));
    let gone = lost.len().min(BY_HASH);
    for (seq, hash) in asked[..gone]
        .iter()
        .chain(asked[lost.len()..].iter().take(BY_HASH))
    {
        let (status, record) = subject.get(&format!("/v1/boboyka/records/{hash}")).await?;
        let is_lost = lost.contains(seq);
        if status == 200 && record["seq"] != *seq {
            return Err(format!("the hash of {seq} leads to {}", record["seq"]));
        }
        if let (200, Some(n)) = (status, record["data"]["n"].as_u64())
            && record["data"] == keyed_data(n)
        {
            let (status, receipt) = subject.ingest_again(n).await?;
            if receipt["record_hash"] != **hash {
                return Err(format!("the key of {seq} gets {status}: {receipt}"));
            }
        }
        if status != 200 && !is_lost {
            return Err(format!(
                "the record {seq} is in the feed, and by its hash {status}: {record}"
            ));
        }
        if status == 404 && !told.complaints.is_empty() {
            return Err(format!(
                "the receipt of the lost record {seq} gets a plain 404: {record}"
            ));
        }
    }
    Ok(())
}

/// The beginning of a text, or for a log its end.
fn brief(text: &str) -> String {
    const MAX: usize = 600;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= MAX {
        return text.to_owned();
    }
    let (begin, end) = (&chars[..MAX / 3], &chars[chars.len() - MAX * 2 / 3..]);
    format!(
        "{} … {}",
        begin.iter().collect::<String>(),
        end.iter().collect::<String>()
    )
}
