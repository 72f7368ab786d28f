//! One field out of a payload, without decoding what comes after it.

use std::fmt;
use std::str;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::skip;

/// The value of a field at the top of a payload; `None` when the payload has no such field.
pub fn field(payload: &[u8], name: &str) -> Option<Value> {
    find(payload, name)
}

/// The same for a field whose value is text.
pub fn text_field<'a>(payload: &'a [u8], name: &str) -> Option<&'a str> {
    let (mut rest, wanted) = (payload, name.as_bytes());
    for _ in 0..skip::map(&mut rest)? {
        let key = skip::text(&mut rest)?;
        // Keys are in order: behind it, it does not come any more.
        if key >= wanted {
            let is_here = key == wanted;
            return is_here.then(|| str::from_utf8(skip::text(&mut rest)?).ok())?;
        }
        skip::value(&mut rest)?;
    }
    None
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
