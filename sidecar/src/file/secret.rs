//! The credentials in a Secret's document. Pure. No message repeats a value.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use boboyka_archive::Settings;
use boboyka_crds::SecretReference;
use boboyka_mirror::Credentials;
use serde_json::Value;

use super::named::Named;
use super::wrong::Wrong;

/// The field that refers to one; `spec.archive.secretRef.name` does too.
pub(super) const FIELD: &str = "spec.supabase.secretRef.name";

/// The credentials that an integration refers to.
///
/// # Errors
/// They are not there, or can't be right.
pub(super) fn credentials(
    secret: &Named<'_>,
    reference: &SecretReference,
) -> Result<Credentials, Wrong> {
    let values = values(secret)?;
    let get = |key: &str| match values.get(key) {
        Some(value) => Ok(value.as_str()),
        None => Err(secret.wrong("stringData", &format!("has no key {key}"))),
    };
    let (url, key) = (get(&reference.url_key)?, get(&reference.key_key)?);
    let credentials = Credentials::new(url, key).map_err(|error| {
        let at = if error.is_about_key() {
            &reference.key_key
        } else {
            &reference.url_key
        };
        secret.wrong(&path(secret, at), &error.to_string())
    })?;
    let optional = |key: &str| values.get(key).cloned();
    Ok(credentials.by_way_of(optional("ca.crt"), optional("proxy")))
}

/// How the archive of an integration is reached.
///
/// # Errors
/// The Secret says nothing of that.
pub(super) fn archive_keys(secret: &Named<'_>) -> Result<Settings, Wrong> {
    let mut settings = Settings::default();
    for (name, value) in values(secret)? {
        settings.set(&name, &value);
    }
    if settings.is_empty() {
        let why = "has no key such as AWS_ACCESS_KEY_ID, which spec.archive.secretRef wants";
        return Err(secret.wrong("stringData", why));
    }
    Ok(settings)
}

/// What `data` and `stringData` say; the second counts, as in a cluster.
fn values(secret: &Named<'_>) -> Result<BTreeMap<String, String>, Wrong> {
    let mut values = BTreeMap::new();
    for section in ["data", "stringData"] {
        let entries = match secret.section(section) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(entries)) => entries,
            Some(_) => return Err(secret.wrong(section, "must have keys with values")),
        };
        for (key, value) in entries {
            let path = format!("{section}.{key}");
            let Some(text) = value.as_str() else {
                return Err(secret.wrong(&path, "must be a text: write it in quotes"));
            };
            let text = match section {
                "data" => decoded(secret, &path, text)?,
                _ => text.to_owned(),
            };
            values.insert(key.clone(), text);
        }
    }
    Ok(values)
}

fn decoded(secret: &Named<'_>, path: &str, text: &str) -> Result<String, Wrong> {
    let bytes = BASE64_STANDARD.decode(text.trim());
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| {
        let why = "must be a text in base64: write plain text under stringData instead";
        secret.wrong(path, why)
    })
}

fn path(secret: &Named<'_>, key: &str) -> String {
    let plain = secret.section("stringData");
    let is_plain = plain.is_some_and(|plain| plain.get(key).is_some());
    format!("{}.{key}", if is_plain { "stringData" } else { "data" })
}
