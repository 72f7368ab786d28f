//! A Supabase of this machine's own: a throw-away Postgres, PostgREST before it, the edge before that,
//! and the product's tables in it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::edge::{self, EdgeState, Fault};
use crate::process::{GUARD, Process, free_address, wait_until};
use crate::provisioned::tools;

/// Signs the two tokens below (HS256), as a Supabase project's secret does.
const JWT_SECRET: &str = "a-secret-of-at-least-32-characters!!";
/// `{"role":"service_role"}`, signed.
const SERVICE_ROLE_JWT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.-oj3ThqK2ArgubjHdk_Ix3f1sJ_4CN1LZyFuyAEGkBc";

/// The roles that a Supabase project has.
const ROLES: &str = "create role anon nologin; create role authenticated nologin; \
    create role service_role nologin bypassrls; \
    create role authenticator login noinherit; \
    grant anon, authenticated, service_role to authenticator;";

/// A running Supabase.
#[derive(Debug)]
pub struct Supabase {
    folder: TempDir,
    tools: &'static HashMap<String, String>,
    database: SocketAddr,
    /// What Postgres has of variables.
    environment: Vec<(String, String)>,
    postgres: Option<Process>,
    postgrest: Process,
    postgrest_address: SocketAddr,
    schema_changes: AtomicUsize,
    edge: SocketAddr,
    state: Arc<Mutex<EdgeState>>,
}

impl Supabase {
    /// Starts one with the product's tables.
    pub async fn start() -> Self {
        Self::start_in(Vec::new()).await
    }

    /// Starts one whose Postgres has these variables.
    pub async fn start_in(environment: Vec<(String, String)>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("supabase")
            .tempdir()
            .unwrap();
        let tools = tools();
        open_to_all(folder.path());
        let database = free_address();
        let postgres = start_postgres(folder.path(), tools, database, &environment);
        let api = free_address();
        wait_until(
            GUARD,
            || {
                let ready = psql(tools, database, "select 1").is_ok();
                async move { ready }
            },
            || format!("Postgres did not start:\n{}", postgres.log()),
        )
        .await;
        psql(tools, database, ROLES).unwrap();
        psql(
            tools,
            database,
            include_str!("../../sidecar/supabase/schema.sql"),
        )
        .unwrap();
        let postgrest = startpostgrest(folder.path(), tools, database, api).await;
        let state = EdgeState {
            jwt: SERVICE_ROLE_JWT.to_owned(),
            secret: "sb_secret_of_the_first_day".to_owned(),
            ..EdgeState::default()
        };
        let state = Arc::new(Mutex::new(state));
        let edge = edge::start(Arc::clone(&state), api, SERVICE_ROLE_JWT.to_owned()).await;
        let supabase = Self {
            folder,
            tools,
            database,
            environment,
            postgres: Some(postgres),
            postgrest,
            postgrest_address: api,
            schema_changes: AtomicUsize::new(0),
            edge,
            state,
        };
        supabase.write_folder(&supabase.jwt_key());
        supabase
    }

    /// What `BOBOYKA_SUPABASE_URL` is set to.
    pub fn url(&self) -> String {
        format!("http://{}", self.edge)
    }

    /// The service role key of the old style.
    pub fn jwt_key(&self) -> String {
        self.state.lock().unwrap().jwt.clone()
    }

    /// The key of the new style.
    pub fn secret_key(&self) -> String {
        self.state.lock().unwrap().secret.clone()
    }

    /// Replaces the key of the new style; the old one is refused from now on.
    pub fn rotate_secret_key(&self, key: &str) {
        key.clone_into(&mut self.state.lock().unwrap().secret);
    }

    /// Whether any request came with this key.
    pub fn was_shown(&self, key: &str) -> bool {
        self.state.lock().unwrap().shown.contains(key)
    }

    /// A folder with the files `url` and `key`, as a mounted Secret.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// Writes the folder's files.
    pub fn write_folder(&self, key: &str) {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("url"), self.url()).unwrap();
        std::fs::write(folder.join("key"), key).unwrap();
    }

    /// Makes the next requests that write rows fail, one fault each.
    pub fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// Makes the next requests that write no rows fail, one fault each.
    pub fn fail_next_questions(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut state = self.state.lock().unwrap();
        state.question_faults.extend(faults);
    }

    /// Cuts off uploads of longer bodies from now on.
    pub fn cut_uploads_above(&self, bytes: u64) {
        self.state.lock().unwrap().cut_above_bytes = Some(bytes);
    }

    /// Holds back every request from now on, until [`Self::release`].
    pub fn hold(&self) {
        self.state.lock().unwrap().held.send_replace(true);
    }

    /// Passes on what was held back.
    pub fn release(&self) {
        self.state.lock().unwrap().held.send_replace(false);
    }

    /// Refuses bodies with this text from now on, as a firewall does.
    pub fn forbid(&self, text: &str) {
        self.state.lock().unwrap().forbidden_text = Some(text.to_owned());
    }

    /// How many requests the edge has seen.
    pub fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    /// Runs SQL; what it prints, one value a line.
    pub fn sql(&self, sql: &str) -> String {
        psql(self.tools, self.database, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs SQL; returns the notices and warnings of the database.
    pub fn sql_notices(&self, sql: &str) -> String {
        let output = psql_command(self.tools, self.database, sql)
            .output()
            .unwrap();
        let notices = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{notices}");
        notices
    }

    /// Runs SQL in the background, such as one that holds a lock for a while.
    pub fn sql_behind(&self, sql: &str) -> Process {
        let mut command = psql_command(self.tools, self.database, sql);
        Process::start(&mut command, &self.folder.path().join("psql.log"))
    }

    /// Ends SQL that runs behind and sleeps, and with it the locks that it holds.
    pub fn end_behind(&self, behind: &Process) {
        behind.signal("KILL");
        self.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()");
    }

    /// Runs SQL that changes tables, and waits until PostgREST knows.
    ///
    /// PostgREST also loads the schema by itself, first the tables and then the functions: a load that was under way may
    /// have a function that came with the change, and the tables of before. So it is asked for two functions, one after the
    /// other: the load that has the second began when the one that has the first had ended.
    pub async fn change_schema(&self, sql: &str) {
        let mut change = format!("{sql};");
        for _ in 0..2 {
            let number = self.schema_changes.fetch_add(1, Ordering::Relaxed);
            let marker = format!("loaded_{number}");
            let function = format!("create function {marker}() returns int language sql return 1");
            self.sql(&format!(
                "{change} {function}; notify pgrst, 'reload schema'"
            ));
            let url = format!("http://{}/rpc/{marker}", self.postgrest_address);
            wait_until_served(&url, &self.postgrest).await;
            change.clear();
        }
    }

    /// The rows of a table, by seq.
    pub fn rows(&self, table: &str) -> Vec<Value> {
        let sql = format!("select coalesce(json_agg(t order by seq), '[]') from {table} t");
        serde_json::from_str(&self.sql(&sql)).unwrap()
    }

    /// Stops Postgres, as an outage does.
    pub fn stop_postgres(&mut self) {
        if let Some(mut postgres) = self.postgres.take() {
            postgres.signal("QUIT");
            let _ = postgres.wait(GUARD);
        }
    }

    /// Starts it again; it answers afterwards.
    pub fn start_postgres(&mut self) {
        let (folder, environment) = (self.folder.path(), &self.environment);
        let process = start_postgres(folder, self.tools, self.database, environment);
        self.postgres = Some(process);
        let begun = std::time::Instant::now();
        while let Err(error) = psql(self.tools, self.database, "select 1") {
            assert!(begun.elapsed() < GUARD, "{error}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Supabase {
    fn drop(&mut self) {
        self.stop_postgres();
    }
}

async fn startpostgrest(
    folder: &Path,
    tools: &HashMap<String, String>,
    database: SocketAddr,
    api: SocketAddr,
) -> Process {
    let config = folder.join("postgrest.conf");
    let settings = format!(
        "db-uri = \"postgres://authenticator@127.0.0.1:{}/postgres\"\ndb-schemas = \"public\"\n\
             db-anon-role = \"anon\"\njwt-secret = \"{JWT_SECRET}\"\nserver-host = \"127.0.0.1\"\n\
             server-port = {}\n",
        database.port(),
        api.port()
    );
    std::fs::write(&config, settings).unwrap();
    let mut command = Command::new(&tools["POSTGREST"]);
    command
        .arg(&config)
        .env("LD_LIBRARY_PATH", &tools["POSTGRES_LIBS"]);
    let postgrest = Process::start(&mut command, &folder.join("postgrest.log"));
    wait_until_served(&format!("http://{api}/agent_health"), &postgrest).await;
    postgrest
}

/// Asks PostgREST for a table or function until it knows it.
async fn wait_until_served(url: &str, postgrest: &Process) {
    let client = crate::client::client();
    wait_until(
        GUARD,
        || {
            let answer = client.get(url).bearer_auth(SERVICE_ROLE_JWT).send();
            async {
                answer
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
            }
        },
        || format!("PostgREST does not serve {url}:\n{}", postgrest.log()),
    )
    .await;
}

fn start_postgres(
    folder: &Path,
    tools: &HashMap<String, String>,
    address: SocketAddr,
    environment: &[(String, String)],
) -> Process {
    let data = folder.join("postgres");
    if !data.exists() {
        let mut command = unprivileged(tools, "initdb");
        command
            .args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(&data);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let mut command = unprivileged(tools, "postgres");
    command
        .arg("-D")
        .arg(&data)
        .args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
    for setting in ["fsync=off", "unix_socket_directories=", "jit=off"] {
        command.args(["-c", setting]);
    }
    command.envs(environment.iter().cloned());
    Process::start(&mut command, &folder.join("postgres.log"))
}

/// A command of Postgres', as a user that it agrees to run as.
fn unprivileged(tools: &HashMap<String, String>, tool: &str) -> Command {
    let path = Path::new(&tools["POSTGRES_BIN"]).join(tool);
    let mut command = match tools.get("UNPRIVILEGED_ID") {
        Some(id) => {
            let mut command = Command::new("setpriv");
            command.args([
                &format!("--reuid={id}"),
                &format!("--regid={id}"),
                "--clear-groups",
            ]);
            // Ends with the test, also when the test is killed.
            command.arg("--pdeathsig=KILL").arg(path);
            command
        }
        None => Command::new(path),
    };
    command
        .env("LD_LIBRARY_PATH", &tools["POSTGRES_LIBS"])
        .current_dir("/");
    command
}

fn psql(tools: &HashMap<String, String>, address: SocketAddr, sql: &str) -> Result<String, String> {
    let mut command = psql_command(tools, address, sql);
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn psql_command(tools: &HashMap<String, String>, address: SocketAddr, sql: &str) -> Command {
    let mut command = unprivileged(tools, "psql");
    command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]);
    command.args(["-U", "postgres", "-d", "postgres", "-c", sql]);
    command.args(["-p", &address.port().to_string()]);
    command
}

/// Lets the unprivileged user in.
fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
}
