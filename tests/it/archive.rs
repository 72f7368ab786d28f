//! A strand's archive in a real object store and in a folder: written once, checked, and complete before retention prunes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use boboyka_store::{Needed, Options, Store};
use boboyka_strand::RecordType;
use boboyka_strand::retention::PayloadAges;
use boboyka_tests::objects::SECRET;
use boboyka_tests::process::{GUARD, wait_until};
use boboyka_tests::{Objects, Sidecar};
use serde_json::{Value, json};

/// The objects of a folder: names, and what shows that one was written again.
pub(crate) fn objects(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let files = entries.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        (name, (fs::read(&path).unwrap(), written))
    });
    files.collect()
}

/// Its segments alone.
pub(crate) fn segments(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let mut objects = objects(folder);
    objects.retain(|name, _| Path::new(name).extension().is_some_and(|end| end == "seg"));
    objects
}

/// A sidecar with an archive, which takes everything at once.
pub(crate) async fn archiving(url: &str, variables: &[(String, String)]) -> Sidecar {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let arguments = ["--archive-url", url, "--archive-after", "0s"];
    Sidecar::start_with(&arguments, &variables).await
}

/// Records of one agent; the head after them.
pub(crate) async fn ingest(sidecar: &Sidecar, from: u64, count: u64) -> u64 {
    for n in from..from + count {
        let data = json!({"agent_id": "a", "status": "healthy", "n": n});
        sidecar.ingest("agent_health", &data).await;
    }
    sidecar.get("/v1/boboyka/status").await["strand"]["head"]["seq"]
        .as_u64()
        .unwrap()
}

/// How its archive stands.
pub(crate) async fn archive(sidecar: &Sidecar) -> Value {
    sidecar.get("/v1/boboyka/status").await["archive"].clone()
}

/// Waits until its archive stands so.
pub(crate) async fn stands(sidecar: &Sidecar, what: &str, ready: impl Fn(&Value) -> bool) -> Value {
    let so = || async { ready(&archive(sidecar).await) };
    wait_until(GUARD, so, || format!("{what}: {}", sidecar.log())).await;
    archive(sidecar).await
}

/// Waits until the archive holds everything up to a seq and a checkpoint of it.
pub(crate) async fn holds(sidecar: &Sidecar, seq: u64) -> Value {
    let there = |archive: &Value| {
        archive["archived_seq"].as_u64() >= Some(seq)
            && archive["checkpoint_size"].as_u64() >= Some(seq)
    };
    stands(sidecar, &format!("{seq} is not archived"), there).await
}

pub(crate) async fn strand(sidecar: &Sidecar) -> String {
    let status = sidecar.get("/v1/boboyka/status").await;
    status["strand"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_segments_are_written_once_with_the_newest_checkpoint_beside_them() {
    let store = Objects::start().await;
    let mut sidecar = archiving(&store.url(), &store.variables(SECRET)).await;
    let head = ingest(&sidecar, 0, 20).await;
    let archived = holds(&sidecar, head).await;
    assert_eq!(archived["error"], Value::Null);
    assert_eq!(archived["waiting_segments"], 0);
    let folder = store.folder(&strand(&sidecar).await);
    let before = segments(&folder);
    let own = sidecar.data_dir().join("segments");
    for (name, (content, _)) in &before {
        let file = format!("{}.seg", &name[..20]);
        assert!(*content == fs::read(own.join(file)).unwrap(), "{name}");
    }
    assert_eq!(archived["uploaded_segments"], before.len());
    let checkpoint = &objects(&folder)["checkpoint"].0;
    let checkpoint = String::from_utf8(checkpoint.clone()).unwrap();
    let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
    assert!(size >= head, "{checkpoint}");
    let consistency = String::from_utf8(objects(&folder)["consistency"].0.clone()).unwrap();
    assert!(consistency.ends_with(&checkpoint), "{consistency}");

    // A start asks the store for what is there, and writes nothing again.
    assert!(sidecar.terminate());
    sidecar.restart().await;
    let archived = holds(&sidecar, head).await;
    assert_eq!(archived["uploaded_segments"], 0);
    let after = segments(&folder);
    for (name, object) in &before {
        assert!(after[name] == *object, "{name} was written again");
    }
    assert!(!sidecar.log().contains(SECRET));
    let metrics = sidecar.metrics().await;
    assert!(metrics.contains("boboyka_archive_failing 0"), "{metrics}");
    let seq = archived["archived_seq"].as_u64().unwrap();
    assert!(metrics.contains(&format!("boboyka_archive_seq {seq}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_an_archive_too() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let mut sidecar = archiving(&url, &[]).await;
    let head = ingest(&sidecar, 0, 5).await;
    holds(&sidecar, head).await;
    let folder = folder.path().join(strand(&sidecar).await);
    let before = segments(&folder);
    assert!(!before.is_empty());
    assert!(sidecar.terminate());

    // Its content is compared, because a folder has no metadata.
    let (name, (content, _)) = before.iter().next().unwrap();
    let mut altered = content.clone();
    altered[100] ^= 1;
    fs::write(folder.join(name), &altered).unwrap();
    sidecar.restart().await;
    let conflict = |archive: &Value| archive["error"]["code"] == "conflict";
    let archived = stands(&sidecar, "the altered object is not named", conflict).await;
    let message = archived["error"]["message"].as_str().unwrap();
    assert!(message.contains(name), "{message}");
    assert_eq!(archived["archived_seq"], 0);
    let there = &segments(&folder)[name].0;
    assert!(*there == altered, "nothing is overwritten");
}

/// Lets every payload of health snapshots go from a folder that no sidecar serves.
async fn strip(data_dir: &Path) {
    let store = Store::open(Options::new(data_dir)).unwrap();
    let mut ages = PayloadAges::default();
    ages[RecordType::AgentHealth] = Some(0);
    while store.strip(Needed::Nothing, ages).await.unwrap() {}
    assert!(store.view().retention.payloads_gone > 0);
    let closed = tokio::task::spawn_blocking(move || store.close());
    closed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_payloads_here_is_still_the_same_there() {
    let (store, folder) = (Objects::start().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let url = format!("file://{}", folder.display());
    for (url, variables) in [(store.url(), store.variables(SECRET)), (url, Vec::new())] {
        let mut sidecar = archiving(&url, &variables).await;
        let head = ingest(&sidecar, 0, 20).await;
        holds(&sidecar, head).await;
        let strand = strand(&sidecar).await;
        let folder = if variables.is_empty() {
            folder.join(strand)
        } else {
            store.folder(&strand)
        };
        let before = segments(&folder);
        assert!(sidecar.terminate());
        strip(&sidecar.data_dir()).await;
        sidecar.restart().await;
        let more = ingest(&sidecar, 20, 5).await;
        let archived = holds(&sidecar, more).await;
        assert_eq!(archived["error"], Value::Null);
        let after = segments(&folder);
        for (name, object) in &before {
            assert!(after[name] == *object, "{name} was written again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_archivers_of_one_strand_race_and_nothing_is_written_twice() {
    let store = Objects::start().await;
    // The segments are there before the race.
    let elsewhere = tempfile::tempdir().unwrap();
    let url = format!("file://{}", elsewhere.path().display());
    let mut sealing = archiving(&url, &[]).await;
    let mut head = 0;
    for round in 0..3 {
        head = ingest(&sealing, round * 5, 5).await;
        holds(&sealing, head).await;
    }
    assert!(sealing.terminate());
    let copies: Vec<_> = (0..2)
        .map(|_| {
            let copy = tempfile::tempdir().unwrap();
            let target = copy.path().join("data");
            let copied = std::process::Command::new("cp")
                .arg("-r")
                .args([sealing.data_dir(), target.clone()])
                .status();
            assert!(copied.unwrap().success());
            (copy, target)
        })
        .collect();
    let mut racing = Vec::new();
    for (_, data) in &copies {
        let mut sidecar = archiving(&store.url(), &store.variables(SECRET)).await;
        assert!(sidecar.terminate());
        fs::remove_dir_all(sidecar.data_dir()).unwrap();
        fs::rename(data, sidecar.data_dir()).unwrap();
        racing.push(sidecar);
    }
    let [one, other] = &mut racing[..] else {
        panic!("two of them")
    };
    tokio::join!(one.restart(), other.restart());
    let (first, second) = tokio::join!(holds(one, head), holds(other, head));
    assert_eq!(
        (&first["error"], &second["error"]),
        (&Value::Null, &Value::Null)
    );
    let segments = segments(&store.folder(&strand(one).await));
    let uploaded = |archived: &Value| archived["uploaded_segments"].as_u64().unwrap();
    assert_eq!(uploaded(&first) + uploaded(&second), segments.len() as u64);
}
