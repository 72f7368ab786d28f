//! A table behind HTTP that answers as it is told: what the lanes do about answers that a healthy
//! `PostgREST` does not give on demand. What `PostgREST` itself does is tested on the real one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;

/// An answer in place of the table's own.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// This status and body; the rows are not stored.
    Answer(u16, &'static str),
    /// 429 that names a time.
    SlowDown(&'static str),
    /// The rows are stored, and the answer never comes.
    StoredThenLost,
    /// Nothing happens for a minute.
    Hang,
}

#[derive(Default)]
pub(super) struct Table {
    /// Rows by `record_hash`, and how often each was stored.
    pub(super) rows: BTreeMap<String, (Value, u32)>,
    pub(super) faults: VecDeque<Fault>,
    /// Used when there is no other fault.
    pub(super) always: Option<Fault>,
    /// Rows with this `agent_id` violate a check.
    pub(super) refused_agents: Vec<String>,
    pub(super) missing_columns: Vec<&'static str>,
    pub(super) has_unique_key: bool,
    pub(super) body_max: usize,
    pub(super) requests: u32,
}

#[derive(Clone)]
pub(super) struct FakeTable {
    state: Arc<Mutex<Table>>,
    pub(super) address: SocketAddr,
}

impl FakeTable {
    pub(super) async fn start() -> Self {
        let table = Table {
            has_unique_key: true,
            body_max: usize::MAX,
            ..Table::default()
        };
        let state = Arc::new(Mutex::new(table));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { state, address }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        self.state.lock().unwrap()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many rows there are; fails when one was stored twice.
    pub(super) fn count(&self) -> usize {
        let table = self.lock();
        assert!(
            table.rows.values().all(|(_, times)| *times == 1),
            "a row was stored twice"
        );
        table.rows.len()
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Table>>>,
    Query(query): Query<HashMap<String, String>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    if method != Method::POST || uri.path().contains("/rpc/") {
        // It has no functions and is not read: comparing is tested on the real one.
        return reply(404, r#"{"code":"PGRST202"}"#.to_owned());
    }
    let (response, then) = {
        let mut table = state.lock().unwrap();
        table.requests += 1;
        let fault = table.faults.pop_front().or_else(|| table.always.clone());
        match fault {
            Some(Fault::Answer(status, text)) => (reply(status, text.to_owned()), None),
            Some(Fault::SlowDown(when)) => (
                ([("retry-after", when)], reply(429, String::new())).into_response(),
                None,
            ),
            Some(fault @ Fault::StoredThenLost) => (table.insert(&query, &body), Some(fault)),
            Some(Fault::Hang) => (reply(503, String::new()), Some(Fault::Hang)),
            None => (table.insert(&query, &body), None),
        }
    };
    match then {
        // Ends the connection without an answer.
        Some(Fault::StoredThenLost) => {
            std::panic::resume_unwind(Box::new("the connection is lost"))
        }
        Some(_) => tokio::time::sleep(Duration::from_mins(1)).await,
        None => {}
    }
    response
}

fn reply(status: u16, body: String) -> Response {
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

impl Table {
    fn insert(&mut self, query: &HashMap<String, String>, body: &[u8]) -> Response {
        if body.len() > self.body_max {
            return reply(413, String::new());
        }
        let columns: Vec<&str> = query["columns"].split(',').collect();
        let on_conflict = query.contains_key("on_conflict");
        if let Some(column) = columns
            .iter()
            .find(|column| self.missing_columns.contains(column))
        {
            let message = format!("Could not find the '{column}' column of 't' in the cache");
            return reply(
                400,
                format!(r#"{{"code":"PGRST204","message":"{message}"}}"#),
            );
        }
        let by_hash = query
            .get("on_conflict")
            .is_some_and(|by| by == "record_hash");
        if on_conflict && !(self.has_unique_key && by_hash) {
            return reply(
                400,
                r#"{"code":"42P10","message":"no constraint"}"#.to_owned(),
            );
        }
        let rows: Vec<Value> = serde_json::from_slice(body).unwrap();
        let is_refused = |row: &Value| {
            self.refused_agents
                .iter()
                .any(|agent| row["agent_id"] == agent.as_str())
        };
        if rows.iter().any(is_refused) {
            let message = r#"new row for relation \"t\" violates check constraint \"sane\""#;
            return reply(400, format!(r#"{{"code":"23514","message":"{message}"}}"#));
        }
        for row in rows {
            let hash = row["record_hash"].as_str().unwrap().to_owned();
            let known = self.rows.contains_key(&hash);
            let entry = self.rows.entry(hash).or_insert((row, 0));
            if !(known && on_conflict) {
                entry.1 += 1;
            }
        }
        reply(201, String::new())
    }
}
