//! SapixDB's calls where the strand is pruned, damaged or long; `sdk/python/tests/test_sapixdb.py` has the rest.

use std::fs;
use std::os::unix::fs::FileExt as _;

use super::*;

impl Running {
    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        let request = request.body(Body::from(body.to_string())).unwrap();
        self.call(request).await
    }

    async fn write(&self, collection: &str, n: usize) -> String {
        let path = format!("/v1/agents/{collection}/records/json");
        let data = json!({"n": n, "key": n % 5});
        let (status, written) = self.post(&path, json!({"data": data})).await;
        assert_eq!(status, 200, "{written}");
        written["content_hash"].as_str().unwrap().to_owned()
    }

    /// A strand with documents of two collections, and some sealed segments.
    async fn filled(&self, segments: usize) -> usize {
        let mut written = 0;
        let mut views = self.store.watch_view();
        while self.store.view().footprint.segments < segments {
            if self.store.view().footprint.tail_blocks < 100 {
                self.write("orders", written).await;
                self.write("others", written).await;
                written += 1;
            } else {
                views.changed().await.unwrap();
            }
        }
        written
    }

    async fn page(&self, offset: usize, limit: usize) -> (Vec<u64>, Value) {
        let path = format!("/v1/agents/orders/strand/records?offset={offset}&limit={limit}");
        let (status, page) = self.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let numbers = page["records"].as_array().unwrap().iter();
        let numbers = numbers.map(|record| record["payload"]["n"].as_u64().unwrap());
        (numbers.collect(), page["missing"].clone())
    }

    /// What a client gets that asks for each next page by what it has.
    async fn walk(&self) -> (Vec<u64>, Vec<Value>) {
        let (mut all, mut missing) = (Vec::new(), Vec::new());
        loop {
            let (page, gone) = self.page(all.len(), 7).await;
            missing.extend(gone.as_array().unwrap().clone());
            if page.is_empty() {
                return (all, missing);
            }
            all.extend(page);
        }
    }

    /// Removes the records of a sealed file from the disk; what it held.
    fn damage(&self, which: usize) -> (u64, u64) {
        let folder = self.folder.path().join("segments");
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        let first = |at: usize| -> u64 {
            files[at]
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .parse()
                .unwrap()
        };
        let file = fs::File::options().write(true).open(&files[which]).unwrap();
        file.write_all_at(&[0; 200], 24).unwrap();
        (first(which), first(which + 1) - 1)
    }
}

fn names_all(missing: &[Value], first: u64, last: u64) -> bool {
    let seqs = missing
        .iter()
        .flat_map(|gone| gone["first_seq"].as_u64().unwrap()..=gone["last_seq"].as_u64().unwrap());
    let mut seqs: Vec<u64> = seqs.collect();
    seqs.sort_unstable();
    seqs.dedup();
    seqs == (first..=last).collect::<Vec<_>>()
}

const ALL: Policy = Policy {
    max_age_ms: None,
    max_size_bytes: Some(0),
};

#[tokio::test]
async fn a_walk_that_retention_overtakes_gets_no_record_twice_and_hears_what_it_missed() {
    let running = Running::start(false);
    let mut written = running.filled(2).await;
    let (first, _) = running.page(0, 10).await;
    assert_eq!(first, (0..10).collect::<Vec<_>>());
    running.store.prune(ALL, false).await.unwrap();
    let floor = running.store.view().floor.head.seq;
    for n in written..written + 20 {
        running.write("orders", n).await;
    }
    written += 20;
    let (next, missing) = running.page(10, 10).await;
    // Every other record is of the collection.
    let held = floor.div_ceil(2);
    assert_eq!(next, (held..held + 10).collect::<Vec<_>>());
    let missing = missing.as_array().unwrap().clone();
    assert_eq!(missing.last().unwrap()["last_seq"], floor);
    // A new walk begins with what is held.
    let (walked, missing) = running.walk().await;
    assert_eq!(walked, (held..written as u64).collect::<Vec<_>>());
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn a_walk_and_the_queries_go_on_behind_damage_and_name_it() {
    let running = Running::start(false);
    let written = running.filled(4).await as u64;
    let (first, last) = running.damage(1);
    let (walked, missing) = running.walk().await;
    assert!(
        names_all(&missing, first, last),
        "{missing:?} {first} {last}"
    );
    let is_held = |n: &u64| !(first..=last).contains(&(2 * n + 1));
    assert_eq!(walked, (0..written).filter(is_held).collect::<Vec<_>>());

    let count = json!({"type": "count_current", "key": "n"});
    let (_, counted) = running.post("/v1/agents/orders/query", count).await;
    assert_eq!(counted["count"], walked.len());
    let missing = counted["missing"].as_array().unwrap();
    assert!(names_all(missing, first, last), "{missing:?}");

    // A stream says it in its place.
    let request = Request::get("/v1/agents/orders/stream?since=0").header("host", "localhost");
    let request = request.body(Body::empty()).unwrap();
    let mut body = running
        .router
        .clone()
        .oneshot(request)
        .await
        .unwrap()
        .into_body();
    let mut text = String::new();
    while text.matches("event: record").count() < walked.len() {
        let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&part).unwrap());
    }
    let (before, after) = text.split_once("event: missing").unwrap();
    assert!(after.contains("\"why\""));
    let records = |text: &str| text.matches("event: record").count() as u64;
    assert_eq!(records(before), first / 2);
    assert_eq!(records(after), walked.len() as u64 - first / 2);
}

#[tokio::test]
async fn the_newest_record_of_each_key_is_that_of_a_naive_reader() {
    let running = Running::start(false);
    let mut current: [Option<(usize, String)>; 5] = [const { None }; 5];
    let mut fast = fastrand::Rng::with_seed(7);
    for n in 0..300 {
        let hash = running.write("orders", n).await;
        current[n % 5] = Some((n, hash));
        if fast.u8(..) < 60
            && let Some((_, hash)) = current[fast.usize(..5)].take()
        {
            let path = format!("/v1/agents/orders/records/{hash}");
            let request = Request::delete(path).header("host", "localhost");
            let (status, _) = running.call(request.body(Body::empty()).unwrap()).await;
            assert_eq!(status, 200);
        }
        if n % 50 == 49 {
            let query = json!({"type": "current", "key": "key", "limit": 10});
            let (_, answer) = running.post("/v1/agents/orders/query", query).await;
            let found = answer["records"].as_array().unwrap().iter();
            let mut found: Vec<_> = found.map(|record| record["payload"]["n"].clone()).collect();
            let mut expected: Vec<_> = current.iter().flatten().map(|(n, _)| *n).collect();
            expected.sort_unstable();
            found.reverse();
            assert_eq!(json!(found), json!(expected));
            let query = json!({"type": "count_current", "key": "key"});
            let (_, answer) = running.post("/v1/agents/orders/query", query).await;
            assert_eq!(answer["count"], expected.len());
        }
    }
}

#[tokio::test]
async fn a_query_reads_a_bounded_number_of_records() {
    let running = Running::start(false);
    running.write("rare", 1).await;
    for _ in 0..=calls::READ_MAX / 500 {
        let documents = (0..500).map(|_| NewRecord {
            record: Record::document("orders", "{}").unwrap(),
            key: None,
        });
        running.store.append(documents.collect()).await.unwrap();
    }
    let found = json!({"type": "latest", "limit": 5});
    for (path, query, expected) in [
        ("/v1/agents/orders/query", found.clone(), 200),
        ("/v1/agents/rare/query", found.clone(), 422),
        ("/v1/agents/project_build/query", found, 200),
        (
            "/v1/query",
            json!({"type": "count_current", "key": "n"}),
            422,
        ),
    ] {
        let (status, answer) = running.post(path, query).await;
        assert_eq!(status, expected, "{path}: {answer}");
        assert_eq!(answer["code"] == "scan_too_long", expected == 422);
    }
    // A page of a walk is found by reading on, in bounds too.
    let (status, answer) = running.get("/v1/agents/nothing/strand/records").await;
    assert_eq!((status, &answer["code"]), (422, &json!("scan_too_long")));
    let (status, answer) = running.get("/v1/strand/records?offset=1900&limit=1").await;
    assert_eq!((status, &answer["records"][0]["seq"]), (200, &json!(1901)));
    // Which records were deleted is learned in pieces, and then known.
    let hash = running.store.block(1).unwrap().unwrap().hash;
    let path = format!("/v1/agents/rare/records/{hash}");
    let delete = || {
        Request::delete(&path)
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap()
    };
    let (status, answer) = running.call(delete()).await;
    assert_eq!((status, &answer["code"]), (503, &json!("catching_up")));
    let (status, answer) = running.call(delete()).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn a_number_in_a_query_may_have_a_point_if_it_is_whole() {
    let running = Running::start(false);
    for n in 0..3 {
        running.write("orders", n).await;
    }
    let path = "/v1/agents/orders/query";
    let query = json!({"type": "latest", "limit": 2.0});
    let (status, found) = running.post(path, query).await;
    assert_eq!(
        (status, found["records"].as_array().unwrap().len()),
        (200, 2)
    );
    let query = json!({"type": "as_of", "timestamp_hlc": 1.0});
    assert_eq!(running.post(path, query).await.0, 200);
    let query = json!({"collection": "orders", "limit": 1.0, "offset": 0.0});
    let (status, found) = running.post("/v1/any/strand/query", query).await;
    assert_eq!(
        (status, found["results"].as_array().unwrap().len()),
        (200, 1)
    );
    for limit in [json!(2.5), json!(-1.0), json!("2")] {
        let query = json!({"type": "latest", "limit": limit});
        let (status, error) = running.post(path, query).await;
        assert_eq!((status, &error["code"]), (400, &json!("malformed_json")));
    }
    let query = json!({"type": "latest", "limit": 2.5});
    let (_, error) = running.post(path, query).await;
    let message = error["message"].as_str().unwrap();
    let says = "limit and offset must be whole numbers, not 2.5";
    assert!(message.contains(says), "{message}");
}
