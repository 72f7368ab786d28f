//! How values lie on the disk: one explicit form for each, a `MessagePack` array whose elements never move.
//! What the API says in JSON is another matter (`api/wire.rs` of the sidecar): a field that is renamed or
//! moved there changes nothing here.
//!
//! | value | elements |
//! | --- | --- |
//! | head | seq, hash (32 bytes), packed time |
//! | counts | four numbers, by the record types' codes; a fifth where there are documents |
//! | format | the version of the format that a program must know |
//! | floor | head, counts, counts that Supabase never got |
//! | binding of the floor | [seq, hash] of the record that binds it or nil, last seq pruned without a record or nil |
//! | mark | seq, mirrored, dead letters |
//! | dead letter | record type, seq, hash, code, message, attempts, since (ms) |
//! | phase state | phase, generation, last mirrored seq or nil, counts |
//! | recorded phase | phase state, [seq, hash] of its record or nil, phase state before it or nil |
//! | mark of a lane | record type's code, mark |
//! | dead letter that is none any more | record type's code, seq |
//! | incarnation of the transparency log | number, UID of the claim or nil |
//! | legacy projects | generation, [seq, hash] of the record of the last change or nil, spans of records without a project, array of [name, spans] |
//! | spans | array of [first seq, last seq or nil] |
//! | gap | first seq, hash before it, head of the last lost block, found at (ms) |
//! | anchor | strand id (16 bytes), floor, recorded phase or nil |
//!
//! Segments have a format of their own, see [`crate::segment`].

mod form;
mod legacy;
mod phase;

use boboyka_strand::{Hash, Head, Hlc, RecordType, Seq};

pub(crate) use self::form::Stored;
use crate::binding::Binding;
use crate::counts::Counts;
use crate::floor::Floor;
use crate::format::Format;
use crate::gap::Gap;
use crate::incarnation::Incarnation;
use crate::lane::{DeadLetter, Mark};

/// Seq, hash, packed time.
pub(crate) type HeadForm = (Seq, Hash, u64);

pub(crate) fn head_form(head: &Head) -> HeadForm {
    (head.seq, head.hash, head.hlc.get())
}

pub(crate) fn head_of((seq, hash, hlc): HeadForm) -> Head {
    Head {
        seq,
        hash,
        hlc: Hlc::new(hlc),
    }
}

impl Stored for Floor {
    const NAME: &'static str = "floor";
    type Form = (HeadForm, Counts<u64>, Counts<u64>);

    fn to_form(&self) -> Self::Form {
        let (counts, unmirrored) = (Counts(self.counts), Counts(self.unmirrored));
        (head_form(&self.head), counts, unmirrored)
    }

    fn from_form((head, counts, unmirrored): Self::Form) -> Result<Self, String> {
        Ok(Self {
            head: head_of(head),
            counts: counts.0,
            unmirrored: unmirrored.0,
        })
    }
}

impl Stored for Binding {
    const NAME: &'static str = "binding of the floor";
    type Form = (Option<(Seq, Hash)>, Option<Seq>);

    fn to_form(&self) -> Self::Form {
        match *self {
            Self::Nothing => (None, None),
            Self::Record(seq, hash) => (Some((seq, hash)), None),
            Self::Earlier(seq) => (None, Some(seq)),
        }
    }

    fn from_form(form: Self::Form) -> Result<Self, String> {
        match form {
            (None, None) => Ok(Self::Nothing),
            (Some((seq, hash)), None) => Ok(Self::Record(seq, hash)),
            (None, Some(seq)) => Ok(Self::Earlier(seq)),
            (Some(_), Some(_)) => Err("it names a record and none".to_owned()),
        }
    }
}

impl Stored for Incarnation {
    const NAME: &'static str = "incarnation";
    type Form = (u64, Option<String>);

    fn to_form(&self) -> Self::Form {
        (self.number, self.claim.clone())
    }

    fn from_form((number, claim): Self::Form) -> Result<Self, String> {
        Ok(Self { number, claim })
    }
}

impl Stored for Mark {
    const NAME: &'static str = "mark";
    type Form = (Seq, u64, u64);

    fn to_form(&self) -> Self::Form {
        (self.seq, self.mirrored, self.dead_lettered)
    }

    fn from_form((seq, mirrored, dead_lettered): Self::Form) -> Result<Self, String> {
        Ok(Self {
            seq,
            mirrored,
            dead_lettered,
        })
    }
}

impl Stored for DeadLetter {
    const NAME: &'static str = "dead letter";
    type Form = (String, Seq, Hash, String, String, u32, u64);

    fn to_form(&self) -> Self::Form {
        (
            self.record_type.name().to_owned(),
            self.seq,
            self.record_hash,
            self.code.clone(),
            self.message.clone(),
            self.attempts,
            self.since_ms,
        )
    }

    fn from_form(form: Self::Form) -> Result<Self, String> {
        let (record_type, seq, record_hash, code, message, attempts, since_ms) = form;
        let record_type: Result<RecordType, _> = record_type.parse();
        Ok(Self {
            record_type: record_type.map_err(|error| format!("its record type {error}"))?,
            seq,
            record_hash,
            code,
            message,
            attempts,
            since_ms,
        })
    }
}

fn lane_of(code: u8) -> Result<RecordType, String> {
    RecordType::from_code(code).ok_or_else(|| format!("there is no record type {code}"))
}

impl Stored for (RecordType, Mark) {
    const NAME: &'static str = "mark of a lane";
    type Form = (u8, <Mark as Stored>::Form);

    fn to_form(&self) -> Self::Form {
        (self.0.code(), self.1.to_form())
    }

    fn from_form((lane, mark): Self::Form) -> Result<Self, String> {
        Ok((lane_of(lane)?, Mark::from_form(mark)?))
    }
}

impl Stored for (RecordType, Seq) {
    const NAME: &'static str = "dead letter that is none any more";
    type Form = (u8, Seq);

    fn to_form(&self) -> Self::Form {
        (self.0.code(), self.1)
    }

    fn from_form((lane, seq): Self::Form) -> Result<Self, String> {
        Ok((lane_of(lane)?, seq))
    }
}

impl Stored for Gap {
    const NAME: &'static str = "gap";
    type Form = (Seq, Hash, HeadForm, u64);

    fn to_form(&self) -> Self::Form {
        let last = head_form(&self.last);
        (self.first, self.hash_before, last, self.found_ms)
    }

    fn from_form((first, hash_before, last, found_ms): Self::Form) -> Result<Self, String> {
        Ok(Self {
            first,
            hash_before,
            last: head_of(last),
            found_ms,
        })
    }
}

impl Stored for Format {
    const NAME: &'static str = "format of the strand";
    type Form = (u8,);

    fn to_form(&self) -> Self::Form {
        (self.number(),)
    }

    fn from_form((number,): Self::Form) -> Result<Self, String> {
        Self::of_number(number)
    }
}

impl Stored for String {
    const NAME: &'static str = "name";
    type Form = Self;

    fn to_form(&self) -> Self::Form {
        self.clone()
    }

    fn from_form(form: Self::Form) -> Result<Self, String> {
        Ok(form)
    }
}

#[cfg(test)]
mod tests;
