//! One field out of a payload, without decoding what comes after it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// The value of a field at the top of a payload; `None` when the payload has no such field.
pub fn field(payload: &[u8], name: &str) -> Option<Value> {
    find(payload, name)
}

/// The same for a field whose value is text.
pub fn text_field<'a>(payload: &'a [u8], name: &str) -> Option<&'a str> {
    find(payload, name)
}

fn find<'a, T: Deserialize<'a>>(payload: &'a [u8], name: &str) -> Option<T> {
    let mut found = None;
    let search = Search {
        name,
        found: &mut found,
    };
    // The decoder calls it an error that the rest is not read.
    let _ = rmp_serde::Deserializer::from_read_ref(payload).deserialize_map(search);
    found
}

struct Search<'a, T> {
    name: &'a str,
    found: &'a mut Option<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Search<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload's map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&str>()? {
            // Keys are in order: behind it, it does not come any more.
            if key >= self.name {
                if key == self.name {
                    *self.found = Some(map.next_value()?);
                }
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
