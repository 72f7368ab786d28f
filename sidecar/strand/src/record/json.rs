//! A payload back as JSON: what the caller sent, without the strand's own tag.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};

use super::limits::{TAG_PREFIX, TYPE_TAG};

/// A payload that serializes as the JSON object it was made from: keys in canonical order, numbers as
/// they were, without [`TYPE_TAG`].
#[derive(Clone, Copy, Debug)]
pub struct PayloadJson<'a>(pub &'a [u8]);

/// The same without any key of the strand, such as the name of a document's collection.
#[derive(Clone, Copy, Debug)]
pub struct CallerJson<'a>(pub &'a [u8]);

impl Serialize for PayloadJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer, |key| key == TYPE_TAG)
    }
}

impl Serialize for CallerJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer, |key| key.starts_with(TAG_PREFIX))
    }
}

fn serialize<S: Serializer>(
    payload: &[u8],
    serializer: S,
    leaves_out: fn(&str) -> bool,
) -> Result<S::Ok, S::Error> {
    let out = serializer.serialize_map(None)?;
    let mut payload = rmp_serde::Deserializer::from_read_ref(payload);
    payload
        .deserialize_map(Members { out, leaves_out })
        .map_err(S::Error::custom)?
        .end()
}

struct Members<M> {
    out: M,
    leaves_out: fn(&str) -> bool,
}

impl<'de, M: SerializeMap> Visitor<'de> for Members<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload's map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M, A::Error> {
        let Self {
            mut out,
            leaves_out,
        } = self;
        while let Some(key) = map.next_key::<&str>()? {
            if leaves_out(key) {
                map.next_value::<IgnoredAny>()?;
            } else {
                out.serialize_key(key).map_err(A::Error::custom)?;
                map.next_value_seed(Member(&mut out))?;
            }
        }
        Ok(out)
    }
}

struct Member<'a, M>(&'a mut M);

impl<'de, M: SerializeMap> DeserializeSeed<'de> for Member<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        let value = serde_transcode::Transcoder::new(value);
        self.0.serialize_value(&value).map_err(D::Error::custom)
    }
}
