//! Counts of the record types as they lie on the disk: four numbers, and a fifth where there are documents. So what
//! holds none has the form that versions without documents know.

use boboyka_strand::{PerType, RecordType};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The numbers that every version writes.
const LEAST: usize = RecordType::MIRRORED.len();

/// One number for each record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts<N>(pub(crate) PerType<N>);

impl<N: Copy + Default + PartialEq + Serialize> Serialize for Counts<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let len = if self.0[RecordType::Document] == N::default() {
            LEAST
        } else {
            RecordType::ALL.len()
        };
        let counts = self.0.into_array();
        counts.get(..len).unwrap_or(&counts).serialize(serializer)
    }
}

impl<'de, N: Copy + Default + Deserialize<'de>> Deserialize<'de> for Counts<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = Vec::<N>::deserialize(deserializer)?;
        if !(LEAST..=RecordType::ALL.len()).contains(&counts.len()) {
            return Err(D::Error::invalid_length(
                counts.len(),
                &"a number for each record type",
            ));
        }
        let mut of_types = PerType::<N>::default();
        for (record_type, count) in RecordType::ALL.into_iter().zip(counts) {
            of_types[record_type] = count;
        }
        Ok(Self(of_types))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_documents_the_form_is_that_of_earlier_versions() {
        let mut counts = PerType::<u16>::default();
        counts[RecordType::AuditLog] = 7;
        let earlier = rmp_serde::to_vec(&[0u16, 0, 0, 7]).unwrap();
        assert_eq!(rmp_serde::to_vec(&Counts(counts)).unwrap(), earlier);
        let read: Counts<u16> = rmp_serde::from_slice(&earlier).unwrap();
        assert_eq!(read, Counts(counts));
        counts[RecordType::Document] = 300;
        let bytes = rmp_serde::to_vec(&Counts(counts)).unwrap();
        assert_eq!(bytes, rmp_serde::to_vec(&[0u16, 0, 0, 7, 300]).unwrap());
        let read: Counts<u16> = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read, Counts(counts));
        for wrong in [vec![1u16, 2, 3], vec![0; 6]] {
            let bytes = rmp_serde::to_vec(&wrong).unwrap();
            assert!(rmp_serde::from_slice::<Counts<u16>>(&bytes).is_err());
        }
    }
}
