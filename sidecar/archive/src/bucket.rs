//! The archive's place as objects. Only this file and those below it name `object_store`.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use boboyka_crds::Place;
use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, Error, GetOptions, ObjectStore,
    ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig, UpdateVersion,
};

use self::answer::told;
use crate::fault::{Fault, Kind};
use crate::presence::{DIGEST, Found, HEAD, hexadecimal};
use crate::settings::Settings;
use crate::source::Identity;

/// One request, with its body: a few megabytes.
const REQUEST_LIMIT: Duration = Duration::from_mins(2);
/// Until a connection is there.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How often a request is sent again before it counts as failed; the archiver itself waits longer and tries again for ever.
const RETRIES: usize = 2;
/// No segment is longer: each is read into memory whole.
const SEGMENT_MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// No note is longer, with all its cosignatures and a proof.
const NOTE_MAX_BYTES: u64 = 1024 * 1024;

/// The archive of strands, at one place.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    place: Place,
}

/// The version of an object, to replace no other one.
#[derive(Clone, Debug)]
pub(crate) struct Version(UpdateVersion);

impl Bucket {
    /// The archive at a place. Sends nothing.
    ///
    /// # Errors
    /// The settings are wrong, or the folder is not there.
    pub fn open(place: &Place, settings: &Settings) -> Result<Self, Fault> {
        let store: Arc<dyn ObjectStore> = match place {
            Place::Bucket { bucket, prefix } => {
                let bucket = s3(bucket, settings);
                let bucket = bucket.map_err(|error| wrong(place, &error))?;
                Arc::new(PrefixStore::new(bucket, Path::from(prefix.as_str())))
            }
            Place::Folder(path) => {
                let folder = LocalFileSystem::new_with_prefix(path);
                let folder = folder.map_err(|_| {
                    Fault::new(Kind::Missing, place.to_string(), "the folder is not there")
                })?;
                Arc::new(folder.with_fsync(true))
            }
        };
        let place = place.clone();
        Ok(Self { store, place })
    }

    /// The strands that the archive has, by the names of their folders.
    ///
    /// # Errors
    /// It can't be listed.
    pub async fn strands(&self) -> Result<Vec<String>, Fault> {
        let listed = self.store.list_with_delimiter(None).await;
        let listed = listed.map_err(|error| self.fault(&self.place.to_string(), &error))?;
        let names = listed.common_prefixes.iter();
        Ok(names
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect())
    }

    /// The names of a strand's objects.
    ///
    /// # Errors
    /// They can't be listed.
    pub async fn names(&self, strand: &str) -> Result<Vec<String>, Fault> {
        // What lies in folders below has names that mean something else.
        let folder = Path::from(strand);
        let listed = self.store.list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|error| self.fault(strand, &error))?;
        let names = listed.objects.iter();
        Ok(names
            .filter_map(|meta| meta.location.filename().map(str::to_owned))
            .collect())
    }

    /// A segment's content; `None` when there is none.
    ///
    /// # Errors
    /// It can't be read, or is longer than any segment.
    pub async fn segment(&self, object: &str) -> Result<Option<Bytes>, Fault> {
        let got = self.get(object, SEGMENT_MAX_BYTES).await?;
        Ok(got.map(|(bytes, _)| bytes))
    }

    /// A note's text; `None` when there is none.
    ///
    /// # Errors
    /// It can't be read, or is longer than any note.
    pub async fn note(&self, object: &str) -> Result<Option<String>, Fault> {
        Ok(self.text(object).await?.map(|(text, _)| text))
    }

    /// An object's content and version; `None` when there is none.
    async fn get(&self, object: &str, most: u64) -> Result<Option<(Bytes, Version)>, Fault> {
        let got = match self.store.get(&Path::from(object)).await {
            Ok(got) => got,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.fault(object, &error)),
        };
        let size = got.meta.size;
        if size > most {
            let what = format!("{}/{object}", self.place);
            let why = format!("it has {size} bytes, and {most} is the most");
            return Err(Fault::new(Kind::Conflict, what, why));
        }
        let version = Version(UpdateVersion {
            e_tag: got.meta.e_tag.clone(),
            version: got.meta.version.clone(),
        });
        let bytes = got.bytes().await;
        let bytes = bytes.map_err(|error| self.fault(object, &error))?;
        Ok(Some((bytes, version)))
    }

    /// What the archive says of an object.
    pub(crate) async fn look(&self, object: &str) -> Result<Option<Found>, Fault> {
        let options = GetOptions::new().with_head(true);
        match self.store.get_opts(&Path::from(object), options).await {
            Ok(got) => {
                let metadata = |name: &'static str| {
                    let value = got.attributes.get(&Attribute::Metadata(name.into()));
                    value.map(|value| value.as_ref().to_owned())
                };
                Ok(Some(Found {
                    bytes: got.meta.size,
                    digest: metadata(DIGEST),
                    head: metadata(HEAD),
                }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.fault(object, &error)),
        }
    }

    /// Writes an object that is not there. A failure does not say that it is not there now.
    pub(crate) async fn create(
        &self,
        object: &str,
        bytes: Vec<u8>,
        identity: &Identity,
    ) -> Result<(), Fault> {
        let (size, most) = (bytes.len() as u64, SEGMENT_MAX_BYTES);
        if size > most {
            let what = format!("{}/{object}", self.place);
            let why = format!("the strand's segment has {size} bytes, and {most} is the most");
            return Err(Fault::new(Kind::Failed, what, why));
        }
        let mut attributes = Attributes::new();
        if matches!(self.place, Place::Bucket { .. }) {
            for (name, value) in [(DIGEST, &identity.digest), (HEAD, &identity.head)] {
                let value = hexadecimal(value);
                attributes.insert(Attribute::Metadata(name.into()), value.into());
            }
        }
        let options = PutOptions {
            mode: PutMode::Create,
            attributes,
            ..PutOptions::default()
        };
        self.put(object, bytes.into(), options).await
    }

    /// A note and its version; `None` when there is none.
    pub(crate) async fn text(&self, object: &str) -> Result<Option<(String, Version)>, Fault> {
        let got = self.get(object, NOTE_MAX_BYTES).await?;
        Ok(got.map(|(bytes, version)| (String::from_utf8_lossy(&bytes).into_owned(), version)))
    }

    /// Writes a text in the place of one version, or where none is. A folder knows no versions.
    pub(crate) async fn replace(
        &self,
        object: &str,
        text: String,
        version: Option<Version>,
    ) -> Result<(), Fault> {
        let mode = match (&self.place, version) {
            (_, None) => PutMode::Create,
            (Place::Bucket { .. }, Some(version)) => PutMode::Update(version.0),
            (Place::Folder(_), Some(_)) => PutMode::Overwrite,
        };
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        self.put(object, text.into(), options).await
    }

    async fn put(
        &self,
        object: &str,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<(), Fault> {
        let path = Path::from(object);
        match self.store.put_opts(&path, payload, options).await {
            Ok(_) => Ok(()),
            Err(Error::NotFound { .. }) => {
                let why = "the bucket is not there";
                Err(Fault::new(Kind::Missing, self.place.to_string(), why))
            }
            Err(error) => Err(self.fault(object, &error)),
        }
    }

    fn fault(&self, object: &str, error: &Error) -> Fault {
        let what = match &self.place {
            place if place.to_string() == object => object.to_owned(),
            place => format!("{place}/{object}"),
        };
        let (kind, why) = told(error);
        Fault::new(kind, what, why)
    }
}

fn s3(bucket: &str, settings: &Settings) -> Result<object_store::aws::AmazonS3, Error> {
    let client = ClientOptions::new()
        .with_timeout(REQUEST_LIMIT)
        .with_connect_timeout(CONNECT_LIMIT);
    let retry = RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: RETRIES,
        retry_timeout: REQUEST_LIMIT,
    };
    let mut builder = AmazonS3Builder::new()
        .with_client_options(client)
        .with_retry(retry);
    for (name, value) in settings.pairs() {
        // Other programs have variables of their own that begin so.
        let Ok(key) = name.parse::<AmazonS3ConfigKey>() else {
            continue;
        };
        if name.starts_with("aws_endpoint") && value.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
        builder = builder.with_config(key, value);
    }
    // What the archive promises does not depend on variables.
    builder
        .with_bucket_name(bucket)
        .with_unsigned_payload(false)
        .with_skip_signature(false)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .build()
}

fn wrong(place: &Place, error: &Error) -> Fault {
    // It names a setting, and may name its value: the kind alone is said.
    let unknown = matches!(error, Error::UnknownConfigurationKey { .. });
    let why = if unknown {
        "a setting is unknown"
    } else {
        "the settings can't be used"
    };
    Fault::new(Kind::Settings, place.to_string(), why)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::{Bucket, Kind, NOTE_MAX_BYTES, Place, SEGMENT_MAX_BYTES, Settings};

    #[tokio::test]
    async fn what_lies_in_folders_below_a_strand_is_none_of_its_objects() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("strand/below")).unwrap();
        for name in ["strand/a", "strand/below/b"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let place = Place::Folder(folder.path().to_owned());
        let bucket = Bucket::open(&place, &Settings::default()).unwrap();
        assert_eq!(bucket.names("strand").await.unwrap(), ["a"]);
        assert!(bucket.names("other").await.unwrap().is_empty());
        assert_eq!(bucket.strands().await.unwrap(), ["strand"]);
    }

    #[tokio::test]
    async fn an_object_that_is_longer_than_any_can_be_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, size) in [("segment", SEGMENT_MAX_BYTES), ("note", NOTE_MAX_BYTES)] {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_len(size + 1).unwrap();
        }
        let place = Place::Folder(folder.path().to_owned());
        let bucket = Bucket::open(&place, &Settings::default()).unwrap();
        let too_long = bucket.segment("segment").await.unwrap_err();
        assert_eq!(too_long.kind, Kind::Conflict, "{too_long}");
        let too_long = bucket.note("note").await.unwrap_err();
        assert_eq!(too_long.kind, Kind::Conflict, "{too_long}");
    }
}
