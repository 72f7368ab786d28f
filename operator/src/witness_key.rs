//! The key that the operator signs with as a witness. It is in a Secret of the operator's own namespace, which the kubelet
//! mounts. The operator has no verb on Secrets: a Job with an account of its own, which may create and not read, makes it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use boboyka_tlog::SigningKey;
use boboyka_tlog::key::{KeyError, Kind};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::writes::is_conflict;

/// The Secret, and its one key. The chart mounts it.
const SECRET: &str = "boboyka-operator-witness";
const ENTRY: &str = "key";
/// How often the file is looked for while it is not there: the kubelet mounts a new Secret within about a minute.
const LOOK: Duration = Duration::from_secs(5);

/// The key, once it is there.
#[derive(Debug)]
pub(crate) struct WitnessKey {
    file: PathBuf,
    name: String,
    url: String,
    key: OnceLock<Arc<SigningKey>>,
}

impl WitnessKey {
    /// The key of a file, under a name, of a witness at a URL.
    pub(crate) fn new(file: PathBuf, name: String, url: String) -> Self {
        let key = Self {
            file,
            name,
            url,
            key: OnceLock::new(),
        };
        // The task that waits for it says why it is not there.
        let _ = key.read();
        key
    }

    /// The key.
    pub(crate) fn get(&self) -> Option<Arc<SigningKey>> {
        self.key.get().cloned()
    }

    /// The verifier key, as text.
    pub(crate) fn vkey(&self) -> Option<String> {
        self.key.get().map(|key| key.verifier().to_string())
    }

    /// The URL in front of `/add-checkpoint`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Waits for the file, and then for the signal.
    pub(crate) async fn keep(&self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.wait()).await;
        shutdown.cancelled().await;
    }

    async fn wait(&self) {
        let mut told = None;
        while let Err(why) = self.read() {
            if told.as_ref() != Some(&why) {
                tracing::warn!("the operator is no witness before it has its key: {why}");
                told = Some(why);
            }
            sleep(LOOK).await;
        }
        let vkey = self.vkey();
        tracing::info!(vkey, "the operator is a witness and has its key");
    }

    /// Reads the key, unless that is done.
    ///
    /// # Errors
    /// Why it is not there.
    fn read(&self) -> Result<(), String> {
        if self.key.get().is_some() {
            return Ok(());
        }
        let key = read(&self.file, &self.name)?;
        self.key.get_or_init(|| Arc::new(key));
        Ok(())
    }
}

/// Creates the Secret with a new key, unless it is there.
///
/// # Errors
/// It can't be created.
pub(crate) async fn make(client: Client, namespace: &str, name: &str) -> Result<(), MakeKeyError> {
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    let made = secret(&new_key(name)?);
    match secrets.create(&PostParams::default(), &made).await {
        Ok(_) => tracing::info!("created Secret {SECRET} with the witness's key"),
        Err(error) if is_conflict(&error) => tracing::info!("Secret {SECRET} is there already"),
        Err(error) => return Err(MakeKeyError::Create(Box::new(error))),
    }
    Ok(())
}

/// Why the witness's key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeKeyError {
    /// The name of the Service or of the namespace can't be in the name of a key.
    #[error("the witness can't have this name")]
    Name(#[from] KeyError),
    /// The API server did not take the Secret.
    #[error("could not create Secret {SECRET} with the witness's key")]
    Create(#[source] Box<kube::Error>),
}

fn secret(key: &SigningKey) -> Secret {
    let mut secret = Secret {
        immutable: Some(true),
        string_data: Some([(ENTRY.to_owned(), key.to_secret_text())].into()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    secret.metadata.name = Some(SECRET.to_owned());
    secret
}

fn read(file: &Path, name: &str) -> Result<SigningKey, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            format!(
                "there is no file {shown}, which is entry {ENTRY} of Secret {SECRET}; a Job of the chart creates the \
                 Secret, unless you said that you do"
            )
        } else {
            format!("could not read {shown}: {error}")
        }
    })?;
    let key = SigningKey::from_secret_text(text.trim_end(), Kind::Witness);
    let key = key.map_err(|error| format!("{shown} has no key: {error}"))?;
    if key.verifier().name() != name {
        let found = key.verifier().name();
        return Err(format!("{shown} has the key of {found}, not of {name}"));
    }
    Ok(key)
}

fn new_key(name: &str) -> Result<SigningKey, KeyError> {
    let random: Vec<u8> = (0..4).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
    SigningKey::from_seed(name, Kind::Witness, *blake3::hash(&random).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_there_once_its_file_is_and_only_under_its_name() {
        let folder = std::env::temp_dir().join(format!("witness-key-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("key");
        let name = "operator.system.svc/witness";
        let witness = WitnessKey::new(file.clone(), name.to_owned(), String::new());
        let missing = witness.read().unwrap_err();
        assert!(
            witness.vkey().is_none() && missing.contains(SECRET),
            "{missing}"
        );
        let made = new_key(name).unwrap();
        std::fs::write(&file, made.to_secret_text()).unwrap();
        assert_eq!(witness.read(), Ok(()));
        assert_eq!(witness.vkey(), Some(made.verifier().to_string()));
        assert!(read(&file, "another").unwrap_err().contains(name));
        std::fs::write(&file, "PRIVATE+KEY+x+00000000+topsecret").unwrap();
        assert!(!read(&file, name).unwrap_err().contains("topsecret"));
        assert_ne!(new_key(name).unwrap().verifier(), made.verifier());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
