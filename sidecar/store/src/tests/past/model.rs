//! A model of a strand's past: a list of all records.

use std::collections::BTreeMap;
use std::time::Instant;

use boboyka_strand::{Head, PerType, Record, RecordType, Seq, key_of};

use super::super::pruning::EVERYTHING;
use super::super::setup::GUARD;
use crate::*;

/// Numbers that a seed gives again.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

pub(super) fn opened(dir: &std::path::Path) -> Store {
    Store::open(Options {
        min_free_bytes: 0,
        seal_blocks: 60,
        journal_file_bytes: 256 * 1024,
        ..Options::new(dir)
    })
    .unwrap()
}

/// The answer, once the version files that it needs are there.
pub(super) fn settled<T>(answer: impl Fn() -> Result<T, ReadError>) -> T {
    let begun = Instant::now();
    loop {
        match answer() {
            Err(ReadError::NotReady { .. }) if begun.elapsed() < GUARD => std::thread::yield_now(),
            answer => return answer.unwrap(),
        }
    }
}

pub(super) fn query(
    record_type: RecordType,
    key: &str,
    at_most: Seq,
    limit: usize,
) -> HistoryQuery {
    HistoryQuery {
        record_type,
        key: key.to_owned(),
        at_most,
        limit,
        max_payload_bytes: usize::MAX,
    }
}

pub(super) fn list(
    record_type: RecordType,
    moment: Head,
    after: Option<u64>,
    limit: usize,
) -> StatesQuery {
    StatesQuery {
        record_type,
        moment,
        after,
        limit,
        payloads: true,
        max_payload_bytes: usize::MAX,
    }
}

/// Every record, from seq 1 on.
#[derive(Default)]
pub(super) struct Model(Vec<(RecordType, Option<String>)>);

impl Model {
    /// Appends some records, of few keys and of many.
    pub(super) async fn append(&mut self, store: &Store, random: &mut Random) {
        let count = 1 + random.below(40);
        let records: Vec<_> = (0..count).map(|_| record(random)).collect();
        let keyed = records.iter().cloned();
        let new = keyed.map(|record| NewRecord { record, key: None });
        store.append(new.collect()).await.unwrap();
        for record in records {
            let kind = record.record_type();
            let key = key_of(kind, record.payload()).map(str::to_owned);
            assert_eq!(key.is_some(), kind != RecordType::AuditLog);
            self.0.push((kind, key));
        }
        assert_eq!(store.view().head.seq, self.0.len() as u64);
    }

    pub(super) async fn prune(&mut self, store: &Store, random: &mut Random) {
        let size = store.view().footprint.segment_bytes;
        let policy = boboyka_strand::retention::Policy {
            max_age_ms: None,
            max_size_bytes: Some(random.below(size + 1)),
        };
        self.prune_by(store, policy).await;
    }

    pub(super) async fn prune_all(&mut self, store: &Store) {
        self.prune_by(store, EVERYTHING).await;
    }

    async fn prune_by(&mut self, store: &Store, policy: boboyka_strand::retention::Policy) {
        store.prune(policy, false).await.unwrap();
        // A pruning leaves a record of itself.
        let head = usize::try_from(store.view().head.seq).unwrap();
        self.0.resize(head, (RecordType::AuditLog, None));
    }

    /// Asks everything as of a random moment.
    pub(super) fn check(&mut self, store: &Store, random: &mut Random) {
        let floor = store.view().floor.head.seq;
        let head = self.0.len() as u64;
        if head == floor {
            return;
        }
        let at = floor + 1 + random.below(head - floor);
        let moment = store.moment(AsOf::Seq(at)).unwrap();
        let block = store.block(at).unwrap().unwrap();
        assert_eq!((moment.seq, moment.hash), (at, block.hash));
        assert_eq!(store.moment(AsOf::Hash(block.hash)).unwrap(), moment);
        self.check_time(store, block.header.timestamp_hlc.ms());
        self.check_keys(store, &moment, floor, random);
        self.check_counts(store, &moment);
    }

    fn check_time(&self, store: &Store, ms: u64) {
        let found = store.moment(AsOf::Ms(ms)).unwrap();
        let next = found.seq + 1;
        let block = store.block(found.seq).unwrap().unwrap();
        assert!(block.header.timestamp_hlc.ms() <= ms);
        if next <= self.0.len() as u64 {
            let later = store.block(next).unwrap().unwrap();
            assert!(later.header.timestamp_hlc.ms() > ms);
        }
    }

    fn check_keys(&self, store: &Store, moment: &Head, floor: Seq, random: &mut Random) {
        let limit = usize::try_from(1 + random.below(6)).unwrap();
        for kind in RecordType::ALL {
            let expected = self.versions(kind, floor, moment.seq);
            let listed = listed(store, kind, *moment, limit);
            let newest = expected.iter().map(|(key, seqs)| (key.clone(), seqs[0]));
            assert_eq!(
                listed,
                newest.collect::<BTreeMap<_, _>>(),
                "{kind} at {moment:?}"
            );
            for (key, seqs) in &expected {
                let (found, missing) = settled(|| store.newest_version(kind, key, moment));
                assert_eq!(found.map(|found| found.block.header.seq), Some(seqs[0]));
                assert!(missing.is_empty());
            }
            if let Some((key, seqs)) = expected.iter().nth(limit) {
                assert_eq!(walked(store, kind, key, moment.seq, limit), *seqs);
            }
            let (nobody, _) = settled(|| store.newest_version(kind, "nobody", moment));
            assert_eq!(nobody, None);
        }
    }

    fn check_counts(&self, store: &Store, moment: &Head) {
        let mut expected = PerType::<u64>::default();
        let end = usize::try_from(moment.seq).unwrap();
        for (kind, _) in &self.0[..end] {
            expected[*kind] += 1;
        }
        let found = store.counts(moment).unwrap();
        assert_eq!((found.counts, found.missing), (expected, vec![]));
    }

    /// The versions of each key of a type, newest first.
    fn versions(&self, kind: RecordType, floor: Seq, at: Seq) -> BTreeMap<String, Vec<Seq>> {
        let mut versions = BTreeMap::<String, Vec<Seq>>::new();
        for (seq, (record_type, key)) in (1..=at).zip(&self.0) {
            if let Some(key) = key.as_ref().filter(|_| *record_type == kind && seq > floor) {
                versions.entry(key.clone()).or_default().insert(0, seq);
            }
        }
        versions
    }
}

pub(super) fn listed(
    store: &Store,
    kind: RecordType,
    moment: Head,
    limit: usize,
) -> BTreeMap<String, Seq> {
    let (mut found, mut after) = (BTreeMap::new(), None);
    loop {
        let query = list(kind, moment, after, limit);
        let page = settled(|| store.states(&query));
        assert!(page.missing.is_empty() && page.versions.len() <= limit);
        for version in page.versions {
            let seq = version.block.header.seq;
            assert_eq!(found.insert(version.key, seq), None, "a key comes twice");
        }
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

fn walked(store: &Store, kind: RecordType, key: &str, at_most: Seq, limit: usize) -> Vec<Seq> {
    let (mut found, mut next) = (Vec::new(), Some(at_most));
    while let Some(at_most) = next {
        let asked = query(kind, key, at_most, limit);
        let page = settled(|| store.history(&asked));
        assert!(page.missing.is_empty() && page.versions.len() <= limit);
        found.extend(page.versions.iter().map(|version| version.block.header.seq));
        next = page.next;
    }
    found
}

fn record(random: &mut Random) -> Record {
    let kind = RecordType::ALL[usize::try_from(random.below(4)).unwrap()];
    let few = random.below(3) > 0;
    let key = random.below(if few { 5 } else { 5_000 });
    let data = format!(
        r#"{{"agent_id":"k{key}","build_id":"k{key}","queue_id":"k{key}","project_id":"p","event":"e","status":"{}"}}"#,
        match kind {
            RecordType::ProjectBuild => "queued",
            RecordType::BuildQueueItem => "done",
            RecordType::AgentHealth | RecordType::AuditLog | RecordType::Document => "healthy",
        }
    );
    Record::from_json(kind, &data).unwrap()
}
