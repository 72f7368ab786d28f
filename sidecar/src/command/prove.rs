//! `prove`: the proof that a record is in the strand's transparency log, from a running sidecar or from a data folder.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use boboyka_store::{causes, prove_offline};
use boboyka_strand::Hash;

use crate::server::listen::ListenAddress;

/// How long the sidecar may take: it signs a checkpoint if it has to.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// No proof is longer.
const PROOF_BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The strand has no such record.
    #[error("the strand has no record with the hash {0}")]
    NoRecord(Hash),
    /// The sidecar refuses.
    #[error("the sidecar on {address} has no proof: {why}")]
    Refused {
        /// Its address.
        address: ListenAddress,
        /// What it says.
        why: String,
    },
    /// The sidecar does not answer.
    #[error(
        "could not ask the sidecar on {address}: {source}; for a strand that no sidecar has open, name its folder with --data-dir"
    )]
    Unreached {
        /// Its address.
        address: ListenAddress,
        /// Why not.
        source: std::io::Error,
    },
    /// The key of the API can't be read.
    #[error("could not read the key of the API in {}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The data folder can't be read, or its log has no proof.
    #[error("{0}")]
    Folder(String),
}

/// Asks a running sidecar.
///
/// # Errors
/// It does not answer, or has no proof.
pub fn prove_running(
    address: &ListenAddress,
    api_key_file: Option<&Path>,
    hash: &Hash,
) -> Result<String, ProveError> {
    let unreached = |source| ProveError::Unreached {
        address: address.clone(),
        source,
    };
    let key = api_key_file.map(std::fs::read_to_string).transpose();
    let key = key.map_err(|source| ProveError::Key {
        path: api_key_file.unwrap_or(Path::new("")).to_owned(),
        source,
    })?;
    let mut last = Err(std::io::ErrorKind::AddrNotAvailable.into());
    for socket in address.addresses().map_err(unreached)? {
        last = ask(socket, key.as_deref(), hash);
        if last.is_ok() {
            break;
        }
    }
    let (status, body) = last.map_err(unreached)?;
    if status == 200 {
        return Ok(body);
    }
    let error: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let why = error.get("message").and_then(serde_json::Value::as_str);
    let why = why.unwrap_or("it gives no reason").to_owned();
    Err(ProveError::Refused {
        address: address.clone(),
        why,
    })
}

/// Reads a strand that no sidecar has open.
///
/// # Errors
/// It can't be read, or the checkpoint that was signed last has no proof.
pub fn prove_folder(data_dir: &Path, hash: &Hash) -> Result<String, ProveError> {
    let failed = |error: &dyn std::error::Error| ProveError::Folder(causes(error));
    let proof = prove_offline(data_dir, hash).map_err(|error| failed(&error))?;
    let proof = proof.map_err(|error| failed(&error))?;
    proof
        .map(|proof| proof.bundle.to_string())
        .ok_or(ProveError::NoRecord(*hash))
}

fn ask(address: SocketAddr, key: Option<&str>, hash: &Hash) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let port = address.port();
    let path = format!("/v1/boboyka/proof/{hash}");
    // HTTP/1.0: the answer is not in chunks.
    let key = key.map(|key| format!("authorization: Bearer {}\r\n", key.trim()));
    let key = key.unwrap_or_default();
    let request = format!("GET {path} HTTP/1.0\r\nhost: localhost:{port}\r\n{key}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = BufReader::new(stream.take(PROOF_BYTES_MAX));
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    while line.trim_end() != "" {
        line.clear();
        if answer.read_line(&mut line)? == 0 {
            break;
        }
    }
    let mut body = String::new();
    answer.read_to_string(&mut body)?;
    Ok((status.unwrap_or(0), body))
}
