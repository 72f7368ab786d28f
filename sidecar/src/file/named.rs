//! A document that a field of the integration refers to by its name: a Secret or a ConfigMap. Pure. No message repeats a value.

use serde_json::{Map, Value};

use super::wrong::Wrong;
use super::yaml::Place;

/// A document with a name.
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    document: &'a Map<String, Value>,
    place: &'a Place,
}

impl<'a> Named<'a> {
    /// `field` is the integration's field that has the name.
    ///
    /// # Errors
    /// It has no name.
    pub(super) fn of(
        document: &'a Map<String, Value>,
        place: &'a Place,
        field: &str,
    ) -> Result<Self, Wrong> {
        let metadata = document.get("metadata");
        let name = metadata
            .and_then(|metadata| metadata.get("name"))
            .and_then(Value::as_str);
        let Some(name) = name else {
            let line = place.line_of(["metadata", "name"]);
            let why = format!("must be the name that {field} refers to");
            return Err(Wrong::field(line, "metadata.name", why));
        };
        Ok(Self {
            name,
            document,
            place,
        })
    }

    pub(super) fn section(&self, name: &str) -> Option<&'a Value> {
        self.document.get(name)
    }

    /// What is wrong with a section, or with a key of it: `data.names`.
    pub(super) fn wrong(&self, field: &str, message: &str) -> Wrong {
        let (section, key) = match field.split_once('.') {
            Some((section, key)) => (section, Some(key)),
            None => (field, None),
        };
        let line = self.place.line_of([section].into_iter().chain(key));
        Wrong::field(line, field, message)
    }
}
