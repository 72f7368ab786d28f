//! The references: an echo that keeps nothing, and two append files with group commit.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use boboyka_strand::record_id::RecordIds;
use boboyka_strand::{Head, Record};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::ingest::preallocated;

/// Length of the file of `raw`; at its end it begins again.
const RAW_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// What `raw` answers.
const SHORT_ANSWER: &str = "{\"ok\":true}";

#[derive(Deserialize)]
struct Request<'a> {
    record_type: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Serves a reference until the process is killed.
pub(crate) async fn serve(kind: &str, listen: SocketAddr, folder: &Path) {
    let routes = match kind {
        "echo" => both(post(echo)),
        "raw" => both(post(append_raw)).with_state(writer(folder.join("raw"), write_raw)),
        "chained" => {
            both(post(append_chained)).with_state(writer(folder.join("blocks"), write_chained))
        }
        other => panic!("no reference is named {other}"),
    };
    let routes = routes.layer(axum::extract::DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, routes).await.unwrap();
}

fn both<S: Clone + Send + Sync + 'static>(handler: axum::routing::MethodRouter<S>) -> Router<S> {
    Router::new()
        .route("/v1/boboyka/ingest", handler.clone())
        .route("/v1/boboyka/ingest/batch", handler)
}

/// Starts a thread that writes; it gets its work through the sender.
fn writer<J: Send + 'static>(
    path: std::path::PathBuf,
    write: fn(&Path, &mpsc::Receiver<J>),
) -> mpsc::Sender<J> {
    let (sender, jobs) = mpsc::channel();
    std::thread::spawn(move || write(&path, &jobs));
    sender
}

/// What the echo parses, it parses whole.
async fn echo(body: Bytes) -> String {
    receipt(&Head::EMPTY).repeat(parse(&body))
}

/// Parses a body and counts its records.
fn parse(body: &[u8]) -> usize {
    let text = std::str::from_utf8(body).unwrap();
    let values = text.lines().map(serde_json::from_str::<Value>);
    values.map(Result::unwrap).filter(Value::is_object).count()
}

type RawJob = (Bytes, oneshot::Sender<()>);

async fn append_raw(State(writer): State<mpsc::Sender<RawJob>>, body: Bytes) -> &'static str {
    assert!(parse(&body) > 0);
    let (reply, answer) = oneshot::channel();
    writer.send((body, reply)).unwrap();
    answer.await.unwrap();
    SHORT_ANSWER
}

/// Takes all that waits, appends it, syncs once, answers.
fn write_raw(path: &Path, jobs: &mpsc::Receiver<RawJob>) {
    let file = preallocated(path, RAW_FILE_BYTES);
    let (mut at, mut bytes, mut replies) = (0, Vec::new(), Vec::new());
    while let Ok(first) = jobs.recv() {
        for (body, reply) in std::iter::once(first).chain(jobs.try_iter()) {
            bytes.extend_from_slice(&body);
            replies.push(reply);
        }
        if at + bytes.len() as u64 > RAW_FILE_BYTES {
            at = 0;
        }
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        at += bytes.len() as u64;
        bytes.clear();
        for reply in replies.drain(..) {
            let _ = reply.send(());
        }
    }
}

type ChainedJob = (Vec<Record>, oneshot::Sender<Vec<String>>);

async fn append_chained(
    State(writer): State<mpsc::Sender<ChainedJob>>,
    headers: HeaderMap,
    body: Bytes,
) -> String {
    assert!(headers.contains_key("content-type"));
    let text = std::str::from_utf8(&body).unwrap();
    let records = text.lines().map(|line| {
        let request: Request<'_> = serde_json::from_str(line).unwrap();
        let record_type = request.record_type.parse().unwrap();
        Record::from_json(record_type, request.data.get()).unwrap()
    });
    let (reply, answer) = oneshot::channel();
    writer.send((records.collect(), reply)).unwrap();
    answer.await.unwrap().concat()
}

/// Takes all that waits, links and appends it, syncs once, answers.
fn write_chained(path: &Path, jobs: &mpsc::Receiver<ChainedJob>) {
    let mut file = File::create(path).unwrap();
    let mut head = Head::EMPTY;
    while let Ok(first) = jobs.recv() {
        let (mut bytes, mut answers) = (Vec::new(), Vec::new());
        let mut ids = RecordIds::starting_at(u128::from(head.seq));
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let now = u64::try_from(now).unwrap();
        for (records, reply) in std::iter::once(first).chain(jobs.try_iter()) {
            let receipts = records.into_iter().map(|record| {
                let block = head.link(record, |ms| ids.next(ms), now);
                bytes.extend_from_slice(&block.header.encode());
                bytes.extend_from_slice(&block.payload);
                head = Head::of(&block);
                receipt(&head)
            });
            answers.push((receipts.collect(), reply));
        }
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        for (receipts, reply) in answers {
            let _ = reply.send(receipts);
        }
    }
}

/// As long as the product's own.
fn receipt(head: &Head) -> String {
    format!(
        "{{\"record_hash\":\"{0}\",\"record_type\":\"agent_health\",\"ingested_at_ms\":{1},\
         \"dual_write\":{{\"enabled\":false,\"ok\":null,\"error\":null}},\"seq\":{2},\
         \"prev_hash\":\"{0}\",\"record_id\":\"01a20b54-f8bf-771a-ada8-3cb1c1b5724f\"}}\n",
        head.hash,
        head.hlc.ms(),
        head.seq
    )
}
