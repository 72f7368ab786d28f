//! The key is in no output, whatever fails: not in a log, a metric, an answer, what the kernel shows of
//! the process, nor in a file of the strand.

use std::path::Path;

use boboyka_tests::process::free_address;
use boboyka_tests::{Fault, Sidecar, Supabase};
use serde_json::json;

use crate::mirror::health;

/// The parts of a key by which it, or enough of it, would be recognised.
fn marks(key: &str) -> Vec<&str> {
    let mut marks = vec![key];
    // The signature of a token is its secret part, the random end of a key of the new style is its.
    marks.extend(key.rsplit(['.', '_']).next().filter(|end| end.len() >= 8));
    marks
}

/// What was said, and where.
#[derive(Default)]
struct Said(Vec<(String, Vec<u8>)>);

impl Said {
    fn add(&mut self, place: &str, said: impl Into<Vec<u8>>) {
        self.0.push((place.to_owned(), said.into()));
    }

    /// The places where a key, or its secret part, was said.
    fn leaks(&self, key: &str) -> Vec<&str> {
        let marks = marks(key);
        let has = |said: &[u8]| {
            marks
                .iter()
                .any(|mark| said.windows(mark.len()).any(|part| part == mark.as_bytes()))
        };
        let leaks = self.0.iter().filter(|(_, said)| has(said));
        leaks.map(|(place, _)| place.as_str()).collect()
    }

    async fn ask(&mut self, sidecar: &Sidecar, place: &str, request: reqwest::RequestBuilder) {
        let answer = request.send().await;
        let Ok(answer) = answer else {
            panic!("{place}: no answer\n{}", sidecar.log());
        };
        self.add(place, format!("{:?}", answer.headers()));
        self.add(place, answer.bytes().await.unwrap());
    }

    /// Everything that can be asked of a sidecar, and all that it leaves behind.
    async fn all_of(&mut self, sidecar: &mut Sidecar) {
        use reqwest::Method;
        for path in [
            "status",
            "events?include=data",
            "events?cursor=x",
            "mirror",
            "verify",
            "records/0",
            "nothing",
        ] {
            let request = sidecar.request(Method::GET, &format!("/v1/boboyka/{path}"));
            self.ask(sidecar, path, request).await;
        }
        let retry = sidecar.request(Method::POST, "/v1/boboyka/mirror/retry");
        self.ask(sidecar, "mirror/retry", retry).await;
        for path in ["/metrics", "/live", "/ready"] {
            let request = boboyka_tests::client().get(sidecar.observe_url(path));
            self.ask(sidecar, path, request).await;
        }
        let pid = sidecar.process().pid();
        for file in ["cmdline", "comm", "status"] {
            let path = format!("/proc/{pid}/{file}");
            self.add(&path, std::fs::read(&path).unwrap());
        }
        self.files(&sidecar.data_dir());
        self.add("log", sidecar.log());
    }

    fn files(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.files(&path);
            } else {
                self.add(&path.to_string_lossy(), std::fs::read(&path).unwrap());
            }
        }
    }
}

/// One record, whatever comes of its copy.
async fn ingest(said: &mut Said, sidecar: &Sidecar, n: u64) {
    let body = json!({"record_type": "agent_health", "data": health(n)}).to_string();
    let request = sidecar
        .request(reqwest::Method::POST, "/v1/boboyka/ingest")
        .header("content-type", "application/json")
        .body(body);
    said.ask(sidecar, "ingest", request).await;
}

/// Every way in which Supabase, or the way to it, fails.
async fn drive(supabase: &mut Supabase, sidecar: &mut Sidecar, said: &mut Said) {
    let retry = || async { sidecar.post("/v1/boboyka/mirror/retry", "").await };
    ingest(said, sidecar, 0).await;
    for (n, fault) in (1..).zip([
        Fault::Status(401, "{\"message\":\"Invalid API key\"}", None),
        Fault::Status(
            403,
            "{\"code\":\"42501\",\"message\":\"permission denied\"}",
            None,
        ),
        Fault::Status(404, "{}", None),
        Fault::Status(409, "{\"code\":\"23503\",\"message\":\"violates\"}", None),
        Fault::Status(413, "too long", None),
        Fault::Status(429, "slow down", Some("0")),
        Fault::Status(520, "<html>", None),
        Fault::Ambiguous,
        Fault::Cut,
    ]) {
        supabase.fail_next([fault]);
        ingest(said, sidecar, n).await;
        retry().await;
    }
    supabase.sql("alter table agent_health add constraint closed check (false) not valid");
    ingest(said, sidecar, 20).await;
    said.all_of(sidecar).await;
    supabase.sql("revoke insert on agent_health from service_role");
    ingest(said, sidecar, 21).await;
    supabase.stop_postgres();
    ingest(said, sidecar, 22).await;
    said.all_of(sidecar).await;
}

#[tokio::test]
async fn no_output_has_a_key_of_the_old_style() {
    let mut supabase = Supabase::start().await;
    let (url, key) = (supabase.url(), supabase.jwt_key());
    let variables = [
        ("BOBOYKA_SUPABASE_URL", &*url),
        ("BOBOYKA_SUPABASE_KEY", &*key),
    ];
    let mut sidecar = Sidecar::start_with(&[], &variables).await;
    let mut said = Said::default();
    drive(&mut supabase, &mut sidecar, &mut said).await;
    assert_eq!(said.leaks(&key), [""; 0]);
}

#[tokio::test]
async fn no_output_has_a_key_of_the_new_style() {
    let mut supabase = Supabase::start().await;
    let key = "sb_secret_T2mV8qLw4hJr9sXkB0yZ";
    supabase.rotate_secret_key(key);
    supabase.write_folder(key);
    let folder = supabase.folder();
    let mut sidecar = Sidecar::start_with(&["--supabase-dir", folder.to_str().unwrap()], &[]).await;
    let mut said = Said::default();
    drive(&mut supabase, &mut sidecar, &mut said).await;
    assert_eq!(said.leaks(key), [""; 0]);
}

#[tokio::test]
async fn no_output_has_the_key_when_supabase_is_not_to_be_reached_or_the_settings_are_wrong() {
    let supabase = Supabase::start().await;
    let nobody = free_address();
    let plain = supabase.url().replace("http://", "https://");
    let key = "sb_secret_nQ7cF3vR6tYp1uWzE5xG";
    let broken = "sb_secret_nQ7cF3vR6tYp\n1uWzE5xG";
    for (url, key) in [
        (&*format!("http://{nobody}"), key),
        ("http://no-such-host.invalid", key),
        (&*plain, key),
        (&*supabase.url(), key),
        ("not a url", key),
        ("https://x.supabase.co", broken),
    ] {
        let variables = [
            ("BOBOYKA_SUPABASE_URL", url),
            ("BOBOYKA_SUPABASE_KEY", key),
            ("RUST_LOG", "debug"),
        ];
        let mut sidecar = Sidecar::start_with(&[], &variables).await;
        let mut said = Said::default();
        ingest(&mut said, &sidecar, 1).await;
        said.all_of(&mut sidecar).await;
        assert!(sidecar.terminate(), "{}", sidecar.log());
        said.add("log", sidecar.log());
        assert_eq!(said.leaks(key), [""; 0], "{url}");
    }
}

#[test]
fn a_leak_would_be_found() {
    let key = "sb_secret_T2mV8qLw4hJr9sXkB0yZ";
    let mut said = Said::default();
    said.add("clean", "sb_secret_ is how keys begin");
    said.add("whole", format!("apikey: {key}\n"));
    said.add("end", "…T2mV8qLw4hJr9sXkB0yZ");
    assert_eq!(said.leaks(key), ["whole", "end"]);
}
