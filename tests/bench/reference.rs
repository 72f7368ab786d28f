//! The two references: an echo that keeps nothing, and a plain append file with group commit.

use std::io::Write;
use std::net::SocketAddr;
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

#[derive(Deserialize)]
struct Request<'a> {
    record_type: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

type Job = (Vec<Record>, oneshot::Sender<Vec<String>>);

/// Serves `echo` or `file` until the process is killed.
pub(crate) async fn serve(kind: &str, listen: SocketAddr, folder: &Path) {
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    let writer = (kind == "file").then(|| {
        let (sender, jobs) = mpsc::channel();
        let path = folder.join("blocks");
        std::thread::spawn(move || write(&path, &jobs));
        sender
    });
    let app = Router::new()
        .route("/v1/boboyka/ingest", post(ingest))
        .route("/v1/boboyka/ingest/batch", post(ingest))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(writer);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await.unwrap();
}

async fn ingest(
    State(writer): State<Option<mpsc::Sender<Job>>>,
    headers: HeaderMap,
    body: Bytes,
) -> String {
    assert!(headers.contains_key("content-type"));
    let text = std::str::from_utf8(&body).unwrap();
    let Some(writer) = writer else {
        // What the echo parses, it parses whole.
        let count = text
            .lines()
            .map(serde_json::from_str::<Value>)
            .filter_map(Result::ok)
            .count();
        return receipt(&Head::EMPTY).repeat(count);
    };
    let records = text.lines().map(|line| {
        let request: Request<'_> = serde_json::from_str(line).unwrap();
        let record_type = request.record_type.parse().unwrap();
        Record::from_json(record_type, request.data.get()).unwrap()
    });
    let (reply, answer) = oneshot::channel();
    writer.send((records.collect(), reply)).unwrap();
    answer.await.unwrap().concat()
}

/// Takes all that waits, appends it, syncs once, answers.
fn write(path: &Path, jobs: &mpsc::Receiver<Job>) {
    let mut file = std::fs::File::create(path).unwrap();
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
