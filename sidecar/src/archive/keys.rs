//! How an archive is reached: by variables, the files of a folder, a Secret that is mounted, or one that stands in the file of
//! the integration.

use std::path::{Path, PathBuf};

use boboyka_archive::Settings;

use crate::config::{ArchiveKeys, archive_files};
use crate::integration::Keys;

/// The settings as they are now. The flag's folder counts most, then the Secret, then variables.
pub(crate) fn read_settings(
    flags: &ArchiveKeys,
    keys: &Keys,
    secrets: Option<&Path>,
) -> Result<Settings, String> {
    let asked = match keys {
        Keys::Own => Settings::default(),
        Keys::Missing(name) => {
            let own = flags.read()?;
            if own.is_empty() {
                return Err(format!(
                    "spec.archive.secretRef.name: the file of the integration has no Secret {name}: add it, or set the AWS_* variables or --archive-dir"
                ));
            }
            return Ok(own);
        }
        Keys::Told(settings) => settings.clone(),
        Keys::Secret(name) => {
            let folder = folder(name, secrets).unwrap_or_default();
            let settings = archive_files(&folder)?;
            if settings.is_empty() {
                return Err(format!(
                    "the Secret {name} is not there, or has no key such as AWS_ACCESS_KEY_ID"
                ));
            }
            settings
        }
    };
    flags.read_with(&asked)
}

/// Whether the kubelet mounts a Secret into this pod, be it there or not.
pub(super) fn is_mounted(name: &str, secrets: Option<&Path>) -> bool {
    folder(name, secrets).is_some_and(|folder| folder.is_dir())
}

/// The folder of a Secret, by a name that leads nowhere else.
fn folder(name: &str, secrets: Option<&Path>) -> Option<PathBuf> {
    let is_plain = Path::new(name).file_name().is_some_and(|file| file == name);
    secrets.filter(|_| is_plain).map(|dir| dir.join(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_secret_is_the_folder_of_its_name_and_an_empty_one_is_named() {
        let mounts = tempfile::tempdir().unwrap();
        let secrets = Some(mounts.path());
        let none = ArchiveKeys { dir: None };
        let read = |name: &str| read_settings(&none, &Keys::Secret(name.to_owned()), secrets);
        fs::create_dir(mounts.path().join("keys")).unwrap();
        assert!(is_mounted("keys", secrets));
        assert!(
            read("keys")
                .unwrap_err()
                .contains("the Secret keys is not there")
        );
        fs::write(mounts.path().join("keys/AWS_REGION"), "eu-1\n").unwrap();
        assert!(format!("{:?}", read("keys").unwrap()).contains("AWS_REGION"));
        for other in ["others", "../keys", "keys/..", "", "."] {
            assert!(!is_mounted(other, secrets), "{other}");
        }
        assert!(!is_mounted("keys", None));
    }

    #[test]
    fn the_folder_of_the_flag_counts_more_than_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("AWS_REGION"), "flag").unwrap();
        let flags = ArchiveKeys {
            dir: Some(folder.path().to_owned()),
        };
        let mut told = Settings::default();
        told.set("AWS_REGION", "file");
        told.set("AWS_ENDPOINT", "http://file");
        let mut expected = told.clone();
        expected.set("AWS_REGION", "flag");
        let read = read_settings(&flags, &Keys::Told(told), None).unwrap();
        // Variables of the machine that tests run on may be there too.
        let mut both = read.clone();
        both.extend(&expected);
        assert_eq!(both, read);
    }
}
