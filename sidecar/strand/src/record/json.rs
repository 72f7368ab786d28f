//! A payload back as JSON: what the caller sent, without the strand's own tag.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};

use super::limits::TYPE_TAG;

/// A payload that serializes as the JSON object it was made from: keys in canonical order, numbers as
/// they were, without [`TYPE_TAG`].
#[derive(Clone, Copy, Debug)]
pub struct PayloadJson<'a>(pub &'a [u8]);

impl Serialize for PayloadJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let map = serializer.serialize_map(None)?;
        let mut payload = rmp_serde::Deserializer::from_read_ref(self.0);
        payload
            .deserialize_map(Members(map))
            .map_err(S::Error::custom)?
            .end()
    }
}

struct Members<M>(M);

impl<'de, M: SerializeMap> Visitor<'de> for Members<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload's map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<M, A::Error> {
        let Self(mut out) = self;
        while let Some(key) = map.next_key::<&str>()? {
            if key == TYPE_TAG {
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
