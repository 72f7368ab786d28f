//! Flags and environment: the only place that reads either. Secrets come by environment or file only.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Takes Boboyka's records on localhost, keeps each in a hash-chained strand before it answers, and
/// mirrors them to Supabase.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Supabase: set BOBOYKA_SUPABASE_URL and BOBOYKA_SUPABASE_KEY (both), or name a folder \
                  with the files `url` and `key`, which is read again whenever they change. Without \
                  either, records are kept in the strand only and mirrored once Supabase is there.\n\n\
                  Try it:\n  curl -sS localhost:7475/v1/boboyka/ingest -H 'content-type: \
                  application/json' \\\n    -d '{\"record_type\":\"agent_health\",\"data\":\
                  {\"agent_id\":\"me\",\"status\":\"healthy\"}}'",
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What the program can do besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a strand offline: every block is hashed again, the data folder is left as it is. Ends with
    /// 0 when the chain holds, with 1 when it does not.
    Verify {
        /// The data folder.
        #[arg(long, env = "BOBOYKA_DATA_DIR", default_value = "boboyka-data")]
        data_dir: PathBuf,
    },
}

/// How to serve.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where the strand lies; created when it is missing.
    #[arg(long, env = "BOBOYKA_DATA_DIR", default_value = "boboyka-data")]
    pub data_dir: PathBuf,
    /// Address of the API.
    #[arg(long, env = "BOBOYKA_LISTEN", default_value = "127.0.0.1:7475")]
    pub listen: SocketAddr,
    /// Address of /live, /ready and /metrics.
    #[arg(long, env = "BOBOYKA_OBSERVE", default_value = "127.0.0.1:7476")]
    pub observe: SocketAddr,
    /// Folder with the files `url` and `key`, such as a mounted Secret.
    #[arg(long, env = "BOBOYKA_SUPABASE_DIR")]
    pub supabase_dir: Option<PathBuf>,
    /// Refuse records while the disk has less than this many bytes free.
    #[arg(long, env = "BOBOYKA_MIN_FREE_BYTES", default_value_t = 64 * 1024 * 1024)]
    pub min_free_bytes: u64,
}

/// Supabase's URL and key from the environment, when both are set. No flag carries them: command lines
/// are visible to everybody.
pub fn supabase_variables() -> Option<(String, String)> {
    let variable = |name| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.trim().is_empty())
    };
    Some((
        variable("BOBOYKA_SUPABASE_URL")?,
        variable("BOBOYKA_SUPABASE_KEY")?,
    ))
}
