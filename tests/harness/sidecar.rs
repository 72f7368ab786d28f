//! The real sidecar as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{GREETING, GUARD, Process, free_address, wait_until};

/// A running sidecar with a data folder of its own.
#[derive(Debug)]
pub struct Sidecar {
    program: PathBuf,
    process: Option<Process>,
    data: TempDir,
    listen: SocketAddr,
    observe: SocketAddr,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    client: reqwest::Client,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.kill_wrapped();
    }
}

impl Sidecar {
    /// Starts one without Supabase.
    pub async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// Starts one with more flags and variables.
    pub async fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_wrapped(&[], arguments, environment).await
    }

    /// Starts one under another program, such as strace.
    pub async fn start_wrapped(
        wrapper: &[&str],
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut sidecar = Self {
            program: binary(),
            process: None,
            data: tempfile::tempdir().unwrap(),
            listen: free_address(),
            observe: free_address(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            environment: environment.iter().map(owned).collect(),
            wrapper: wrapper.iter().map(|text| (*text).to_owned()).collect(),
            client: crate::client::client(),
        };
        sidecar.restart().await;
        sidecar
    }

    /// Ends it and starts another build of it on the same data folder.
    pub async fn replace_by(&mut self, program: &Path) {
        self.kill_9();
        program.clone_into(&mut self.program);
        self.restart().await;
    }

    /// Starts it again, with these variables instead of those that it had.
    pub async fn restart_in(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
        self.restart().await;
    }

    /// Starts it again on the same data folder.
    pub async fn restart(&mut self) {
        self.process = None;
        let mut words = self.wrapper.clone();
        words.push(self.program.to_string_lossy().into_owned());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .arg("--data-dir")
            .arg(self.data_dir());
        command.args(["--listen", &self.listen.to_string()]);
        command
            .args(["--observe", &self.observe.to_string()])
            .args(&self.arguments);
        for name in [
            "BOBOYKA_SUPABASE_URL",
            "BOBOYKA_SUPABASE_KEY",
            "BOBOYKA_SUPABASE_DIR",
        ] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        let mut process = Process::start(&mut command, &self.data.path().join("log"));
        let (ready, client) = (
            format!("http://{}/ready", self.observe),
            self.client.clone(),
        );
        wait_until(
            GUARD,
            || {
                assert!(
                    !process.has_ended(),
                    "the sidecar ended while it started:\n{}",
                    process.log()
                );
                let answer = client.get(&ready).send();
                let listens = process.has_printed(GREETING);
                async move {
                    listens
                        && answer
                            .await
                            .is_ok_and(|answer| answer.status().is_success())
                }
            },
            || "the sidecar did not become ready".to_owned(),
        )
        .await;
        self.process = Some(process);
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.data.path().join("data")
    }

    /// Everything it has printed, over all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    /// The running process.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the sidecar runs")
    }

    /// The address of its API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// The address for observers.
    pub fn observe_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.observe)
    }

    /// Kills it with SIGKILL.
    pub fn kill_9(&mut self) {
        self.kill_wrapped();
        self.process().kill();
        self.process = None;
    }

    /// Under a wrapper the sidecar is not our child and would outlive it; its lock file names it.
    fn kill_wrapped(&self) {
        if self.process.is_some() && !self.wrapper.is_empty() {
            let pid = std::fs::read_to_string(self.data_dir().join("LOCK")).unwrap_or_default();
            let _ = Command::new("kill")
                .args(["-s", "KILL", pid.trim()])
                .output();
        }
    }

    /// Ends it with SIGTERM; whether it ended with 0.
    pub fn terminate(&mut self) -> bool {
        // Under a wrapper the sidecar is not our child; its lock file names it.
        let pid = std::fs::read_to_string(self.data_dir().join("LOCK")).unwrap();
        crate::process::signal(pid.trim(), "TERM");
        let ended_well = self.process().wait(GUARD);
        self.process = None;
        ended_well
    }

    /// Posts a record: status and body.
    pub async fn try_ingest(&self, record_type: &str, data: &Value) -> (u16, Value) {
        let body = json!({"record_type": record_type, "data": data});
        self.post("/v1/boboyka/ingest", &body.to_string()).await
    }

    /// Posts a record that must be taken; its receipt.
    pub async fn ingest(&self, record_type: &str, data: &Value) -> Value {
        let (status, body) = self.try_ingest(record_type, data).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Posts JSON: status and body.
    pub async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let request = self
            .client
            .post(self.url(path))
            .header("content-type", "application/json");
        answer(request.body(body.to_owned())).await
    }

    /// Gets JSON that must be there.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.try_get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Gets JSON: status and body.
    pub async fn try_get(&self, path: &str) -> (u16, Value) {
        answer(self.client.get(self.url(path))).await
    }

    /// What its health port says of its metrics.
    pub async fn metrics(&self) -> String {
        let request = self.client.get(self.observe_url("/metrics"));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// A request to be completed by the test.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }
}

/// Sends a request: status and JSON body; text that is no JSON comes as a string.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// The sidecar's binary: named by `BOBOYKA_SIDECAR_BIN`, else built beside this test.
pub fn binary() -> PathBuf {
    let beside = || {
        let test = std::env::current_exe().unwrap();
        let profile = test
            .ancestors()
            .find(|folder| folder.join("boboyka-sidecar").exists());
        profile.map(|folder| folder.join("boboyka-sidecar"))
    };
    std::env::var_os("BOBOYKA_SIDECAR_BIN")
        .map(PathBuf::from)
        .or_else(beside)
        .filter(|path| Path::exists(path))
        .expect("the sidecar is not built: run `cargo build -p boboyka-sidecar`, or `make test`")
}
