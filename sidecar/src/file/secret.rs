//! The credentials in a Secret's document. Pure. No message repeats a value.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use boboyka_crds::SecretReference;
use boboyka_mirror::Credentials;
use serde_json::{Map, Value};

use super::wrong::Wrong;
use super::yaml::Place;

/// A Secret's document.
pub(super) struct Secret<'a> {
    pub(super) name: &'a str,
    document: &'a Map<String, Value>,
    place: &'a Place,
}

impl<'a> Secret<'a> {
    /// # Errors
    /// It has no name.
    pub(super) fn of(document: &'a Map<String, Value>, place: &'a Place) -> Result<Self, Wrong> {
        let metadata = document.get("metadata");
        let name = metadata
            .and_then(|metadata| metadata.get("name"))
            .and_then(Value::as_str);
        let Some(name) = name else {
            let line = place.line_of(["metadata", "name"]);
            let why = "must be the name that spec.supabase.secretRef.name refers to";
            return Err(Wrong::field(line, "metadata.name", why));
        };
        Ok(Self {
            name,
            document,
            place,
        })
    }

    /// The credentials that an integration refers to.
    ///
    /// # Errors
    /// They are not there, or can't be right.
    pub(super) fn credentials(&self, reference: &SecretReference) -> Result<Credentials, Wrong> {
        let values = self.values()?;
        let get = |key: &str| match values.get(key) {
            Some(value) => Ok(value.as_str()),
            None => Err(self.wrong("stringData", &format!("has no key {key}"))),
        };
        let (url, key) = (get(&reference.url_key)?, get(&reference.key_key)?);
        let credentials = Credentials::new(url, key).map_err(|error| {
            let at = if error.is_about_key() {
                &reference.key_key
            } else {
                &reference.url_key
            };
            self.wrong(&self.path(at), &error.to_string())
        })?;
        let optional = |key: &str| values.get(key).cloned();
        Ok(credentials.by_way_of(optional("ca.crt"), optional("proxy")))
    }

    /// What `data` and `stringData` say; the second counts, as in a cluster.
    fn values(&self) -> Result<BTreeMap<String, String>, Wrong> {
        let mut values = BTreeMap::new();
        for section in ["data", "stringData"] {
            let entries = match self.document.get(section) {
                None | Some(Value::Null) => continue,
                Some(Value::Object(entries)) => entries,
                Some(_) => return Err(self.wrong(section, "must have keys with values")),
            };
            for (key, value) in entries {
                let path = format!("{section}.{key}");
                let Some(text) = value.as_str() else {
                    return Err(self.wrong(&path, "must be a text: write it in quotes"));
                };
                let text = match section {
                    "data" => self.decoded(&path, text)?,
                    _ => text.to_owned(),
                };
                values.insert(key.clone(), text);
            }
        }
        Ok(values)
    }

    fn decoded(&self, path: &str, text: &str) -> Result<String, Wrong> {
        let bytes = BASE64_STANDARD.decode(text.trim());
        let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| {
            let why = "must be a text in base64: write plain text under stringData instead";
            self.wrong(path, why)
        })
    }

    fn path(&self, key: &str) -> String {
        let plain = self.document.get("stringData");
        let is_plain = plain.is_some_and(|plain| plain.get(key).is_some());
        format!("{}.{key}", if is_plain { "stringData" } else { "data" })
    }

    fn wrong(&self, field: &str, message: &str) -> Wrong {
        let path = field
            .split_once('.')
            .map_or((field, None), |(a, b)| (a, Some(b)));
        let line = self.place.line_of([path.0].into_iter().chain(path.1));
        Wrong::field(line, field, message)
    }
}
