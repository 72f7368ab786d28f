//! Outsiders that know a sidecar's log by its public paths alone: one copies it into a folder, as mirrors of logs do; one stands
//! before a litewitness, and shows what that has cosigned.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::http::{StatusCode, Uri, header};
use axum::routing::post;
use boboyka_tlog::Checkpoint;
use boboyka_tlog::tile::{self, WIDTH};
use boboyka_tlog::witness::{AddCheckpoint, monitoring_path};

use crate::Sidecar;
use crate::process::{GUARD, wait_until};
use crate::verifiers::Litewitness;

/// Where a sidecar serves its log.
const LOG: &str = "/v1/boboyka/log/";

impl Sidecar {
    /// The prefix of its log.
    pub fn log_url(&self) -> String {
        self.url(LOG)
    }

    /// A file of its log.
    pub async fn log_file(&self, path: &str) -> (u16, Vec<u8>) {
        let url = self.url(&format!("{LOG}{path}"));
        let answer = crate::client().get(url).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().to_vec())
    }

    async fn log_text(&self, path: &str) -> String {
        let (status, bytes) = self.log_file(path).await;
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    /// The key of its log, once there is one.
    pub async fn log_key(&self) -> String {
        let found = Mutex::new(String::new());
        let begun = || async {
            let (status, key) = self.log_file("vkey").await;
            *found.lock().unwrap() = String::from_utf8(key).unwrap();
            status == 200
        };
        wait_until(GUARD, begun, || self.log()).await;
        found.into_inner().unwrap().trim_end().to_owned()
    }

    /// A checkpoint at one of the paths that have one, once it covers this many records of the log with this key.
    pub async fn log_covers(&self, path: &str, vkey: &str, size: u64) -> String {
        let origin = vkey.split('+').next().unwrap();
        let covers = || async {
            let (status, note) = self.log_file(path).await;
            let note = String::from_utf8(note).unwrap();
            let checkpoint = note.parse().ok().map(|note| Checkpoint::of_note(&note));
            status == 200
                && checkpoint.is_some_and(|it| {
                    let it = it.unwrap();
                    it.origin() == origin && it.size() >= size
                })
        };
        wait_until(GUARD, covers, || self.log()).await;
        self.log_text(path).await
    }

    /// Copies what its log has from an index on into a folder, under a checkpoint; what the folder has from before stays.
    pub async fn copy_log(&self, folder: &Path, minimum: u64, checkpoint: &str) {
        let size = Checkpoint::of_note(&checkpoint.parse().unwrap())
            .unwrap()
            .size();
        let first = minimum / u64::from(WIDTH);
        let tiles = tile::tiles(size).filter(|tile| tile.level > 0 || tile.index >= first);
        let entries = tile::entries(size).filter(|entries| entries.index >= first);
        let paths = tiles.map(|tile| tile.to_string());
        for path in paths.chain(entries.map(|entries| entries.to_string())) {
            let (status, bytes) = self.log_file(&path).await;
            assert_eq!(status, 200, "{path}");
            write(&folder.join(path), &bytes);
        }
        write(&folder.join("checkpoint"), checkpoint.as_bytes());
    }
}

/// The origin of the incarnation that comes after the one of an origin.
///
/// # Panics
/// The text is no origin of an incarnation.
pub fn next_origin(origin: &str) -> String {
    let (log, number) = origin.rsplit_once('/').unwrap();
    let number: u64 = number.parse().unwrap();
    format!("{log}/{}", number + 1)
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The newest checkpoint of each log that a witness has cosigned, by the path at which it is shown.
type Shown = Arc<Mutex<BTreeMap<String, String>>>;

/// A litewitness, and before it what shows the checkpoints that it has cosigned: it has no page for that itself.
#[derive(Debug)]
pub struct Monitored {
    /// The litewitness.
    pub witness: Litewitness,
    url: String,
}

impl Monitored {
    /// Starts both, for the logs of these keys.
    pub async fn start(vkeys: &[&str]) -> Self {
        let witness = Litewitness::start(vkeys).await;
        let (shown, url) = (Shown::default(), witness.url("add-checkpoint"));
        let known = Arc::clone(&shown);
        let add = move |body: String| forward(url.clone(), body, Arc::clone(&known));
        let show = move |uri: Uri| {
            let path = uri.path().trim_start_matches('/');
            let found = shown.lock().unwrap().get(path).cloned();
            async move { found.ok_or(StatusCode::NOT_FOUND) }
        };
        let router = axum::Router::new()
            .route("/add-checkpoint", post(add))
            .fallback(show);
        let url = format!("http://{}", crate::serve(router).await);
        Self { witness, url }
    }

    /// Its prefix.
    pub fn url(&self) -> &str {
        &self.url
    }
}

type Forwarded = (StatusCode, [(header::HeaderName, String); 1], String);

/// Hands a request on, and keeps what was cosigned.
async fn forward(url: String, body: String, shown: Shown) -> Forwarded {
    let posted = crate::client().post(url).body(body.clone()).send().await;
    let Ok(answer) = posted else {
        let none = [(header::CONTENT_TYPE, String::new())];
        return (StatusCode::BAD_GATEWAY, none, String::new());
    };
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let kind = answer.headers().get(header::CONTENT_TYPE.as_str());
    let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
    let text = answer.text().await.unwrap();
    if status.is_success() {
        let request: AddCheckpoint = body.parse().unwrap();
        let origin = request.checkpoint.text().lines().next().unwrap();
        let cosigned = format!("{}{text}", request.checkpoint);
        shown
            .lock()
            .unwrap()
            .insert(monitoring_path(origin), cosigned);
    }
    (status, [(header::CONTENT_TYPE, kind)], text)
}
