//! The strand as it was: states, histories, lists of keys, counts and events, as of moments.

use boboyka_tests::Sidecar;
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tlog::{Bundle, Checkpoint, TreeHash, VerifierKey};
use serde_json::{Value, json};

const STATE: &str = "/v1/boboyka/state";
const HISTORY: &str = "/v1/boboyka/history";

fn build(id: &str, status: &str) -> Value {
    json!({"project_id": "p", "build_id": id, "status": status})
}

/// A build that ran, one that waits, an agent, and an event.
async fn started() -> (Sidecar, Vec<Value>) {
    let sidecar = Sidecar::start().await;
    let mut receipts = Vec::new();
    for (record_type, data) in [
        ("project_build", build("one", "queued")),
        ("project_build", build("two/ü", "queued")),
        (
            "agent_health",
            json!({"agent_id": "one", "status": "healthy"}),
        ),
        ("project_build", build("one", "running")),
        ("audit_log", json!({"agent_id": "one", "event": "e"})),
        ("project_build", build("one", "succeeded")),
    ] {
        receipts.push(sidecar.ingest(record_type, &data).await);
    }
    (sidecar, receipts)
}

fn seqs(list: &Value) -> Vec<u64> {
    let list = list.as_array().unwrap().iter();
    list.map(|version| version["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn the_state_of_a_build_is_its_newest_record_as_of_a_seq_a_hash_and_a_time() {
    let (sidecar, receipts) = started().await;
    let now = sidecar.get(&format!("{STATE}/project_build/one")).await;
    assert_eq!(now["data"], build("one", "succeeded"));
    assert_eq!((&now["seq"], &now["key"]), (&json!(6), &json!("one")));
    assert_eq!(now["record_hash"], receipts[5]["record_hash"]);
    assert_eq!(now["tombstone"], false);
    let head = json!({"seq": 6, "hash": receipts[5]["record_hash"]});
    assert_eq!((&now["head"], &now["floor"]), (&head, &json!(0)));

    let hash = receipts[4]["record_hash"].as_str().unwrap();
    for as_of in ["seq:5", hash] {
        let path = format!("{STATE}/project_build/one?as_of={as_of}");
        let then = sidecar.get(&path).await;
        assert_eq!(then["data"]["status"], "running", "{as_of}");
        assert_eq!(then["head"], json!({"seq": 5, "hash": hash}));
    }
    let ms = receipts[5]["ingested_at_ms"].as_u64().unwrap();
    let path = format!("{STATE}/project_build/one?as_of={ms}");
    assert_eq!(sidecar.get(&path).await["seq"], 6);
    // The same key of another type is another key.
    let agent = sidecar.get(&format!("{STATE}/agent_health/one")).await;
    assert_eq!(agent["seq"], 3);
    // What is not plain in a path comes percent-encoded.
    let path = format!("{STATE}/project_build/two%2F%C3%BC");
    assert_eq!(sidecar.get(&path).await["key"], "two/ü");
}

#[tokio::test]
async fn a_history_is_walked_newest_first_and_stays_at_its_head() {
    let (sidecar, _) = started().await;
    let path = format!("{HISTORY}/project_build/one");
    let whole = sidecar.get(&format!("{path}?include=data")).await;
    assert_eq!(seqs(&whole["versions"]), [6, 4, 1]);
    assert_eq!(whole["versions"][1]["data"], build("one", "running"));
    assert_eq!(whole["next_cursor"], Value::Null);
    let first = sidecar.get(&format!("{path}?limit=2")).await;
    assert_eq!(seqs(&first["versions"]), [6, 4]);
    assert_eq!(first["versions"][0]["data"], Value::Null);
    sidecar
        .ingest("project_build", &build("one", "failed"))
        .await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = sidecar
        .get(&format!("{path}?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(seqs(&second["versions"]), [1]);
    assert_eq!(second["head"], first["head"]);
    let then = sidecar.get(&format!("{path}?as_of=seq:4")).await;
    assert_eq!(seqs(&then["versions"]), [4, 1]);
}

#[tokio::test]
async fn all_builds_are_listed_page_by_page_as_of_the_head_of_the_first_page() {
    let (sidecar, _) = started().await;
    for n in 0..7 {
        sidecar
            .ingest("project_build", &build(&format!("more {n}"), "queued"))
            .await;
    }
    let (mut found, mut query) = (Vec::new(), "?limit=4".to_owned());
    let mut heads = Vec::new();
    loop {
        let page = sidecar.get(&format!("{STATE}/project_build{query}")).await;
        found.extend(page["states"].as_array().unwrap().clone());
        heads.push(page["head"].clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=4&cursor={cursor}");
        // What comes meanwhile is not on the next page.
        let data = build(&format!("later {}", found.len()), "queued");
        sidecar.ingest("project_build", &data).await;
    }
    assert!(heads.len() >= 3 && heads.iter().all(|head| *head == heads[0]));
    let mut keys: Vec<_> = found
        .iter()
        .map(|state| state["key"].as_str().unwrap())
        .collect();
    keys.sort_unstable();
    let more: Vec<_> = (0..7).map(|n| format!("more {n}")).collect();
    let mut expected: Vec<&str> = more.iter().map(String::as_str).collect();
    expected.extend(["one", "two/ü"]);
    assert_eq!(keys, expected);
    let one = found.iter().find(|state| state["key"] == "one").unwrap();
    assert_eq!(one["seq"], 6);
    let then = sidecar
        .get(&format!("{STATE}/project_build?as_of=seq:1&include=data"))
        .await;
    assert_eq!(then["states"][0]["data"], build("one", "queued"));
    assert_eq!(then["states"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn events_and_counts_end_at_their_moment() {
    let (sidecar, receipts) = started().await;
    let hash = receipts[3]["record_hash"].as_str().unwrap();
    let first = sidecar
        .get(&format!("/v1/boboyka/events?limit=3&as_of={hash}"))
        .await;
    assert_eq!(seqs(&first["events"]), [4, 3, 2]);
    assert_eq!(first["head"], json!({"seq": 4, "hash": hash}));
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/v1/boboyka/events?limit=3&cursor={cursor}");
    assert_eq!(sidecar.try_get(&path).await.0, 400, "another filter");
    let second = sidecar.get(&format!("{path}&as_of={hash}")).await;
    assert_eq!(seqs(&second["events"]), [1]);

    let counts = sidecar.get("/v1/boboyka/counts?as_of=seq:3").await;
    let expected =
        json!({"project_build": 2, "build_queue_item": 0, "agent_health": 1, "audit_log": 0});
    assert_eq!(
        (&counts["event_counts"], &counts["total_events"]),
        (&expected, &json!(3))
    );
    let now = sidecar.get("/v1/boboyka/counts").await;
    let status = sidecar.get("/v1/boboyka/status").await;
    assert_eq!(now["event_counts"], status["event_counts"]);
}

#[tokio::test]
async fn a_deleted_record_says_so_from_its_tombstone_on() {
    let (sidecar, receipts) = started().await;
    let hash = receipts[5]["record_hash"].as_str().unwrap();
    let path = format!("/v1/agents/project_build/records/{hash}");
    let answer = sidecar.request(reqwest::Method::DELETE, &path).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    let one = format!("{STATE}/project_build/one");
    let now = sidecar.get(&one).await;
    assert_eq!((&now["seq"], &now["tombstone"]), (&json!(6), &json!(true)));
    let then = sidecar.get(&format!("{one}?as_of={hash}")).await;
    assert_eq!(
        (&then["seq"], &then["tombstone"]),
        (&json!(6), &json!(false))
    );
    let history = sidecar.get(&format!("{HISTORY}/project_build/one")).await;
    let told = history["versions"].as_array().unwrap().iter();
    let told: Vec<_> = told
        .map(|version| version["tombstone"].as_bool().unwrap())
        .collect();
    assert_eq!(told, [true, false, false]);
    let list = sidecar.get(&format!("{STATE}/project_build")).await;
    let states = list["states"].as_array().unwrap();
    let one = states.iter().find(|state| state["key"] == "one").unwrap();
    assert_eq!(one["tombstone"], true);
}

/// Status, field, path.
const REFUSED: &str = "
    400 record_type state/builds/one
    400 record_type state/audit_log/one
    400 record_type state/audit_log
    404 key state/project_build/none
    400 key state/project_build/%ff
    400 as_of state/project_build/one?as_of=yesterday
    400 as_of state/project_build/one?as_of=seq:7
    400 as_of state/project_build/one?as_of=seq:0
    400 as_of state/project_build/one?as_of=9999999999999
    404 as_of state/project_build/one?as_of=0000000000000000000000000000000000000000000000000000000000000000
    404 key state/project_build/one?as_of=1
    400 limit state/project_build/one?limit=2
    400 limit history/project_build/one?limit=0
    400 cursor history/project_build/one?cursor=x
    400 include state/project_build?include=all
    400 as_of counts?as_of=x
    400 as_of events?as_of=x";

#[tokio::test]
async fn what_can_t_be_asked_is_refused_with_the_name_of_the_field() {
    let (sidecar, _) = started().await;
    for line in REFUSED.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        let status: u16 = words[0].parse().unwrap();
        let path = format!("/v1/boboyka/{}", words[2]);
        let (found, error) = sidecar.try_get(&path).await;
        let code = if status == 400 {
            "bad_parameter"
        } else {
            "not_found"
        };
        let told = (found, error["code"].as_str(), error["field"].as_str());
        assert_eq!(
            told,
            (status, Some(code), Some(words[1])),
            "{path}: {error}"
        );
        assert!(error["message"].as_str().unwrap().contains(' '), "{error}");
    }
}

#[tokio::test]
async fn answers_are_the_same_after_a_kill() {
    let (mut sidecar, _) = started().await;
    let paths = [
        format!("{STATE}/project_build/one"),
        format!("{STATE}/project_build?include=data"),
        format!("{HISTORY}/project_build/one?as_of=seq:5"),
    ];
    let mut before = Vec::new();
    for path in &paths {
        before.push(sidecar.get(path).await);
    }
    sidecar.kill_9();
    sidecar.restart().await;
    for (path, before) in paths.iter().zip(before) {
        assert_eq!(sidecar.get(path).await, before);
    }
}

#[tokio::test]
async fn a_state_and_each_version_of_a_history_bring_their_proofs_when_asked() {
    let (sidecar, _) = started().await;
    let has_key = || async { sidecar.try_get("/v1/boboyka/log/vkey").await.0 == 200 };
    wait_until(GUARD, has_key, || "the log did not begin".to_owned()).await;
    let vkey = sidecar.get("/v1/boboyka/log/vkey").await;
    let vkey: VerifierKey = vkey.as_str().unwrap().trim_end().parse().unwrap();
    let one = format!("{STATE}/project_build/one");
    let state = sidecar.get(&format!("{one}?proof=true&as_of=seq:4")).await;
    let history = format!("{HISTORY}/project_build/one?proof=true");
    let history = sidecar.get(&history).await;
    let all = format!("{STATE}/project_build?proof=true&limit=100");
    let all = sidecar.get(&all).await;
    let versions = history["versions"].as_array().unwrap();
    let states = all["states"].as_array().unwrap();
    for version in versions.iter().chain(states).chain([&state]) {
        let proof: Bundle = version["proof"].as_str().unwrap().parse().unwrap();
        assert_eq!(proof.index + 1, version["seq"].as_u64().unwrap());
        let header = proof.extra.as_deref().unwrap();
        proof.verify(TreeHash::of_leaf(header)).unwrap();
        Checkpoint::verify(&proof.checkpoint, std::slice::from_ref(&vkey)).unwrap();
    }
    assert_eq!(sidecar.get(&one).await["proof"], Value::Null);
    for (query, field) in [("proof=false", "proof"), ("proof=true&limit=101", "limit")] {
        let path = format!("{HISTORY}/project_build/one?{query}");
        let (code, error) = sidecar.try_get(&path).await;
        assert_eq!((code, &error["field"]), (400, &json!(field)), "{error}");
    }
}
