//! What was acknowledged is there: after SIGKILL, after SIGTERM, and on the disk before the answer.

use std::process::Command;

use boboyka_tests::Sidecar;
use boboyka_tests::process::GUARD;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

/// Kills under load.
const KILL_ROUNDS: u32 = 200;

fn event(n: u64) -> Value {
    json!({"agent_id": "a", "event": "e", "n": n})
}

async fn verdict(sidecar: &Sidecar) -> Value {
    let request = sidecar.request(reqwest::Method::GET, "/v1/boboyka/verify");
    let text = request.send().await.unwrap().text().await.unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed_under_load() {
    let mut sidecar = Sidecar::start().await;
    let mut newest = 0;
    for round in 0..KILL_ROUNDS {
        let (stop, stopped) = watch::channel(false);
        let (count, mut acknowledgements) = watch::channel(0);
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let url = sidecar.url("/v1/boboyka/ingest");
                let (stopped, count) = (stopped.clone(), count.clone());
                tokio::spawn(async move {
                    let (client, mut acknowledged) = (boboyka_tests::client(), Vec::new());
                    while !*stopped.borrow() {
                        let body = json!({"record_type": "audit_log", "data": event(1)});
                        let request = client.post(&url).header("content-type", "application/json");
                        let Ok(answer) = request.body(body.to_string()).send().await else {
                            break;
                        };
                        let Ok(text) = answer.text().await else { break };
                        let receipt: Value = serde_json::from_str(&text).unwrap();
                        let seq = receipt["seq"].as_u64().unwrap();
                        acknowledged.push((seq, receipt["record_hash"].clone()));
                        count.send_modify(|count| *count += 1);
                    }
                    acknowledged
                })
            })
            .collect();
        // The writers go on while it is killed, in another place each time.
        let enough = acknowledgements.wait_for(|count| *count > round * 37 % 200);
        timeout(GUARD, enough).await.unwrap().unwrap();
        sidecar.kill_9();
        stop.send_replace(true);
        sidecar.restart().await;
        for writer in writers {
            for (seq, hash) in writer.await.unwrap() {
                newest = newest.max(seq);
                let hash = hash.as_str().unwrap();
                let record = sidecar.get(&format!("/v1/boboyka/records/{hash}")).await;
                assert_eq!(record["seq"], seq, "round {round}");
            }
        }
    }
    let verdict = verdict(&sidecar).await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    assert!(
        newest > 0 && verdict["verified"].as_u64().unwrap() >= newest,
        "{verdict}"
    );
    let quarantined = &sidecar.get("/v1/boboyka/status").await["strand"]["quarantined"];
    assert_eq!(*quarantined, json!([]));
}

#[tokio::test]
async fn sigterm_ends_it_with_0_and_the_strand_is_whole_offline_too() {
    let mut sidecar = Sidecar::start().await;
    for n in 0..20 {
        sidecar.ingest("audit_log", &event(n)).await;
    }
    let second = Command::new(boboyka_tests::sidecar::binary())
        .args(["verify", "--data-dir"])
        .arg(sidecar.data_dir())
        .output()
        .unwrap();
    let pid = sidecar.process().pid();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains(&format!("in use by process {pid}")), "{said}");
    assert_eq!(second.status.code(), Some(2));
    assert!(sidecar.terminate());
    let offline = Command::new(boboyka_tests::sidecar::binary())
        .args(["verify", "--data-dir"])
        .arg(sidecar.data_dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&offline.stdout).into_owned();
    assert!(
        offline.status.success() && said.starts_with("ok: 20 records"),
        "{said}"
    );
}

#[tokio::test]
async fn every_answer_follows_a_sync_of_what_it_acknowledges() {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let path = trace.path().to_str().unwrap().to_owned();
    let calls = "trace=fdatasync,pwrite64,sendto,write,writev";
    let wrapper = ["strace", "-f", "-y", "-s", "160", "-e", calls, "-o", &path];
    let mut sidecar = Sidecar::start_wrapped(&wrapper, &[], &[]).await;
    for n in 0..10 {
        sidecar.ingest("audit_log", &event(n)).await;
    }
    sidecar.terminate();
    let trace = std::fs::read_to_string(&path).unwrap();
    let (mut synced, mut answers) = (false, 0);
    for line in trace.lines() {
        let of_log = line.contains("/tail/db>");
        if line.contains("pwrite64(") && of_log {
            synced = false;
        } else if line.contains("fdatasync") && line.ends_with("= 0") {
            synced = true;
        } else if line.contains("record_hash") && line.contains("HTTP/1.1 200") {
            assert!(synced, "answered before the sync: {line}");
            (synced, answers) = (false, answers + 1);
        }
    }
    assert_eq!(answers, 10, "the trace does not show the answers");
    let blobs = std::fs::read_dir(sidecar.data_dir().join("tail/blobs"));
    assert_eq!(blobs.map_or(0, Iterator::count), 0);
}

#[tokio::test]
async fn a_failed_sync_stops_acknowledging_and_ends_the_process() {
    let inject = "inject=fdatasync:error=EIO:when=5+";
    let wrapper = [
        "strace",
        "-f",
        "-e",
        "trace=fdatasync",
        "-e",
        inject,
        "-o",
        "/dev/null",
    ];
    let mut sidecar = Sidecar::start_wrapped(&wrapper, &[], &[]).await;
    let mut acknowledged = Vec::new();
    for n in 0..20 {
        let (status, body) = sidecar.try_ingest("audit_log", &event(n)).await;
        if status != 200 {
            assert_eq!(
                (status, body["code"].as_str()),
                (503, Some("store_poisoned")),
                "{body}"
            );
            break;
        }
        acknowledged.push(body["record_hash"].as_str().unwrap().to_owned());
    }
    assert!(
        acknowledged.len() < 20,
        "no sync failed: the test has lost its subject"
    );
    assert!(
        !sidecar.process().wait(GUARD),
        "it ended as if all were well"
    );
}

/// A small file system over a sidecar's data folder, unmounted at the end of the test.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn over(folder: &std::path::Path, mebibytes: u32) -> Self {
        let disk = Self(folder.to_owned());
        disk.mount(&format!("size={mebibytes}m"));
        disk
    }

    fn grow(&self, mebibytes: u32) {
        self.mount(&format!("remount,size={mebibytes}m"));
    }

    fn mount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&self.0)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "a full disk needs a file system of its own, and mounting one needs root: run as root"
        );
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_loses_nothing_acknowledged_and_with_room_it_goes_on() {
    let mut sidecar = Sidecar::start_with(&["--min-free-bytes", "0"], &[]).await;
    assert!(sidecar.terminate(), "{}", sidecar.log());
    std::fs::remove_dir_all(sidecar.data_dir()).unwrap();
    std::fs::create_dir(sidecar.data_dir()).unwrap();
    let disk = SmallDisk::over(&sidecar.data_dir(), 24);
    sidecar.restart().await;
    let mut acknowledged = Vec::new();
    let refusal = loop {
        // Random text, so that compression does not make the disk larger than it is.
        let noise: String = (0..100_000).map(|_| fastrand::alphanumeric()).collect();
        let data = json!({"agent_id": "a", "event": "e", "noise": noise});
        let (status, body) = sidecar.try_ingest("audit_log", &data).await;
        if status != 200 {
            break (status, body["code"].as_str().map(str::to_owned));
        }
        acknowledged.push(body["record_hash"].as_str().unwrap().to_owned());
        assert!(acknowledged.len() < 1_000, "the disk does not fill up");
    };
    assert_eq!(refusal, (507, Some("disk_full".to_owned())));
    // A full disk opens too, and takes records again as soon as it has room.
    sidecar.kill_9();
    sidecar.restart().await;
    disk.grow(64);
    sidecar.ingest("audit_log", &event(0)).await;
    sidecar.kill_9();
    sidecar.restart().await;
    for hash in &acknowledged {
        let (status, _) = sidecar
            .try_get(&format!("/v1/boboyka/records/{hash}"))
            .await;
        assert_eq!(status, 200, "{hash} was acknowledged\n{}", sidecar.log());
    }
    sidecar.ingest("audit_log", &event(1)).await;
    let verdict = verdict(&sidecar).await;
    assert_eq!(verdict["ok"], true, "{verdict}");
    sidecar.terminate();
}

#[tokio::test]
async fn a_bit_that_flips_in_the_tail_is_told_or_does_no_harm() {
    const RECORDS: u64 = 200;
    let mut sidecar = Sidecar::start().await;
    for n in 0..RECORDS {
        sidecar.ingest("audit_log", &event(n)).await;
    }
    sidecar.kill_9();
    let kept = tempfile::tempdir().unwrap();
    copy(&sidecar.data_dir(), &kept.path().join("data"));
    let journal = std::fs::read_dir(sidecar.data_dir().join("journal")).unwrap();
    let files = journal.map(|entry| entry.unwrap().path());
    let content = |path: &std::path::Path| std::fs::read(path).unwrap();
    let written = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // Of the two files, the other one is a spare and holds only its header.
    let log = files.max_by_key(|path| written(&content(path))).unwrap();
    let whole = content(&log);
    let written = written(&whole);
    let mut told = 0;
    for part in 1..10 {
        std::fs::remove_dir_all(sidecar.data_dir()).unwrap();
        copy(&kept.path().join("data"), &sidecar.data_dir());
        let mut flipped = whole.clone();
        flipped[written * part / 10] ^= 0x10;
        std::fs::write(&log, &flipped).unwrap();
        sidecar.restart().await;
        let status = sidecar.get("/v1/boboyka/status").await;
        let verdict = verdict(&sidecar).await;
        let quarantined = status["strand"]["quarantined"].as_array().unwrap().len();
        let said = quarantined > 0 || verdict["ok"] == false;
        let harmless = status["total_events"] == RECORDS;
        assert!(said || harmless, "part {part}: {status}\n{verdict}");
        told += u32::from(said);
        sidecar.kill_9();
    }
    assert!(
        told > 0,
        "no flip hit anything: the test has lost its subject"
    );
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success());
}
