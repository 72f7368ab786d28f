//! The stream: what it tells, and when it ends.

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;

use super::*;

/// A stream that is read part by part.
struct Reader(BodyDataStream);

impl Reader {
    /// The next part; `None` after the end.
    async fn next(&mut self) -> Option<String> {
        let part = self.0.next().await?.unwrap();
        Some(String::from_utf8(part.to_vec()).unwrap())
    }

    /// Parts until one has a text.
    async fn until(&mut self, text: &str) -> String {
        let mut all = String::new();
        while !all.contains(text) {
            all += &self.next().await.unwrap();
        }
        all
    }
}

impl Running {
    async fn stream(&self, query: &str, last_event_id: &str) -> (u16, Reader) {
        let path = format!("/v1/boboyka/stream{query}");
        self.open(&path, last_event_id).await
    }

    async fn open(&self, path: &str, last_event_id: &str) -> (u16, Reader) {
        let request = Request::get(path)
            .header("host", "localhost")
            .header("last-event-id", last_event_id);
        let request = request.body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, Reader(answer.into_body().into_data_stream()))
    }
}

impl Running {
    /// Appends a record before anything else goes on, a paused clock included.
    fn append_meanwhile(&self) {
        let store = self.store.clone();
        let append = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let record = NewRecord {
                record: Record::document("orders", "{}").unwrap(),
                key: None,
            };
            runtime
                .unwrap()
                .block_on(store.append(vec![record]))
                .unwrap()
        };
        std::thread::spawn(append).join().unwrap();
    }
}

/// The ids of the events.
fn ids(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("id: "));
    lines.map(|id| id.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_reader_that_comes_back_goes_on_where_it_was_and_the_header_counts_more_than_the_address()
{
    let running = Running::start(false);
    for _ in 0..5 {
        running.ingest().await;
    }
    let (_, mut reader) = running.stream("?after=1", "3").await;
    let text = reader.until("id: 5").await;
    assert_eq!(ids(&text), [3, 4, 5], "{text}");
    assert!(!text.contains(r#""data":"#), "{text}");
    let (_, mut reader) = running.stream("?after=4&include=data", "").await;
    let text = reader.until("id: 5").await;
    assert!(text.contains(r#""data":{"agent_id":"a""#), "{text}");
    running.ingest().await;
    assert_eq!(ids(&reader.until("id: 6").await), [6]);
    let (status, mut refused) = running.stream("", "7").await;
    let body = refused.next().await.unwrap();
    assert_eq!(status, 400);
    assert!(
        body.contains("Last-Event-ID must be a seq of this strand, 0 to 6"),
        "{body}"
    );
}

#[tokio::test]
async fn without_a_place_it_begins_at_the_head() {
    let running = Running::start(false);
    running.ingest().await;
    let (_, mut reader) = running.stream("", "").await;
    assert_eq!(reader.next().await.unwrap(), "retry: 2000\nid: 1\n\n");
    running.ingest().await;
    assert_eq!(ids(&reader.until("event: record").await), [2]);
}

#[tokio::test]
async fn a_silent_stream_gives_signs_of_life_that_pass_what_was_not_asked_for() {
    let running = Running::start(false);
    running.ingest().await;
    let (_, mut reader) = running
        .stream("?after=0&record_type=agent_health", "")
        .await;
    reader.next().await.unwrap();
    // From here on the clock runs to whatever is waited for.
    tokio::time::pause();
    assert_eq!(reader.next().await.unwrap(), ": heartbeat\nid: 1\n\n");
}

#[tokio::test]
async fn a_stream_of_a_quiet_collection_in_a_busy_strand_gives_signs_of_life() {
    let running = Running::start(false);
    let (_, mut reader) = running.open("/v1/agents/quiet/stream", "").await;
    assert_eq!(reader.next().await.unwrap(), ": open\n\n");
    tokio::time::pause();
    let busy = async {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(10)).await;
            running.append_meanwhile();
        }
    };
    tokio::select! {
        told = reader.next() => assert_eq!(told.unwrap(), "event: heartbeat\ndata: {}\n\n"),
        () = busy => panic!("the stream was silent for 50 s"),
    }
}

#[tokio::test]
async fn a_reader_that_leaves_what_is_there_for_it_is_told_so_and_let_go() {
    let running = Running::start(false);
    running.ingest().await;
    let (_, mut reader) = running.stream("?after=0", "").await;
    reader.until("event: record").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    let text = reader.next().await.unwrap();
    assert!(text.starts_with("event: end\ndata: {"), "{text}");
    assert!(text.contains(r#""code":"slow_reader""#), "{text}");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn there_are_only_a_number_of_streams_and_one_that_ends_makes_room() {
    let running = Running::start(false);
    let mut open = Vec::new();
    while running.api.streams.available_permits() > 0 {
        open.push(running.stream("", "").await.1);
    }
    assert_eq!(open.len(), 64);
    let (status, mut refused) = running.stream("", "").await;
    assert_eq!(status, 429);
    assert!(refused.next().await.unwrap().contains("stream_busy"));
    drop(open.pop());
    assert_eq!(running.stream("", "").await.0, 200);
}

#[tokio::test]
async fn a_stream_ends_with_a_word_when_the_sidecar_stops() {
    let running = Running::start(false);
    let (_, mut reader) = running.stream("", "").await;
    reader.next().await.unwrap();
    running.api.shutdown.cancel();
    let text = reader.next().await.unwrap();
    assert!(text.contains(r#""code":"shutting_down""#), "{text}");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn records_that_retention_took_are_told_as_missing() {
    let running = Running::start(false);
    while running.store.view().footprint.segments == 0 {
        running.ingest().await;
    }
    let policy = Policy {
        max_age_ms: None,
        max_size_bytes: Some(0),
    };
    running.store.prune(policy, false).await.unwrap();
    let floor = running.store.view().floor.head.seq;
    assert!(floor > 0);
    let (_, mut reader) = running.stream("?after=0", "").await;
    let text = reader.until("event: record").await;
    let missing = format!(
        "id: {floor}\nevent: missing\ndata: {{\"first_seq\":1,\"last_seq\":{floor},\"why\":\"the strand does not hold these records any more\"}}\n\n"
    );
    assert!(text.contains(&missing), "{text}");
    assert!(
        text.contains(&format!("id: {}\nevent: record", floor + 1)),
        "{text}"
    );
}
