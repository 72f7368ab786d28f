//! Reading resources field by field: what a newer version writes, or what can't be read, takes nothing else with it.
//! Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use boboyka_archive::Place;
use boboyka_crds::{
    Archive, Audit, Backfill, LegacyStatus, LegalHold, Migration, MirrorTable, Phase,
    archive_after, quantity, rules,
};
use boboyka_store::ListChange;
use boboyka_strand::RecordType;
use boboyka_strand::retention::PayloadAges;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::assignment::{Assignment, Claim};
use crate::integration::{ArchiveRequest, InForce, Integration, Keys, Pace, Retention};

/// Status writes in a second that a fleet of sidecars stays below.
const REPORTS_PER_SECOND: f64 = 20.0;
const INTERVAL_DEFAULT: u64 = 10;
const INTERVAL_MAX: u64 = 3600;
const ACK_TIMEOUT_MAX: Duration = Duration::from_secs(30);
const BATCH_ROWS_MAX: usize = 500;
/// What an integration leaves open.
const ARCHIVE_AFTER: Duration = Duration::from_hours(1);
/// Of a complaint, which may repeat what was written.
const COMPLAINT_MAX: usize = 200;

/// What an integration asks, and what of it can't be read. A phase or a transition that can't be read leaves the one
/// that is known; a setting that can't be read leaves its default.
pub(crate) fn integration(object: &Value, known: &Integration) -> (Integration, Vec<String>) {
    let default = Integration::unknown();
    let mut fields = Fields {
        object,
        complaints: Vec::new(),
    };
    let in_force = match fields.get::<Phase>("/status/phase") {
        Ok(Some(phase)) => {
            let generation = fields.get("/status/phaseGeneration").ok().flatten();
            Some(InForce {
                phase,
                generation: generation.unwrap_or(0),
            })
        }
        // An integration that was made again has none at first.
        Ok(None) | Err(Unread) => known.in_force,
    };
    let transition = fields
        .get("/status/transition/generation")
        .unwrap_or(known.transition);
    let change = fields.get("/status/lastChange");
    let change = change.map_or_else(|Unread| known.change.clone(), |it| it.map(Box::new));
    // There is no way back from the end, whatever can be read of it.
    let finalized = known.finalized
        || object
            .pointer("/status/finalized")
            .is_some_and(|it| !it.is_null());
    let legal_hold: Option<LegalHold> = fields.get("/status/legalHold").ok().flatten();
    let legal_hold = legal_hold.filter(|hold| hold.active);
    let rows = fields.get("/spec/supabase/mirror/batchRows").ok().flatten();
    let tables = tables(&mut fields).unwrap_or_else(|Unread| known.tables.clone());
    let read = Integration {
        in_force,
        transition,
        has_migration: object
            .pointer("/spec/migration")
            .is_some_and(|it| !it.is_null()),
        change,
        legacy: legacy(&mut fields, known),
        backfill: fields
            .get::<Backfill>("/spec/migration/backfill")
            .unwrap_or_else(|Unread| known.backfill.clone()),
        finalized,
        has_supabase: object
            .pointer("/spec/supabase")
            .is_some_and(|it| !it.is_null()),
        ack_timeout: fields
            .parse("/spec/supabase/mirror/ackTimeout", quantity::duration)
            .map_or(default.ack_timeout, |timeout| timeout.min(ACK_TIMEOUT_MAX)),
        batch_rows: rows.map_or(default.batch_rows, |rows: usize| {
            rows.clamp(1, BATCH_ROWS_MAX)
        }),
        tables,
        retention: Retention {
            max_age: fields.parse("/spec/retention/maxAge", quantity::duration),
            max_size_bytes: fields.parse("/spec/retention/maxSize", quantity::bytes),
            payload_ages: payload_ages(&mut fields),
            // Somebody set it, and what goes never comes back.
            hold: fields
                .get("/spec/retention/hold")
                .map_or(true, Option::unwrap_or_default),
            held_since: legal_hold.map(|hold| hold.generation),
        },
        archive: archive(&mut fields, known),
        witness_policy: witness_policy(&mut fields),
        pace: pace(
            fields.get("/status/reportIntervalSeconds").ok().flatten(),
            fields.get("/status/strands/held").ok().flatten(),
        ),
    };
    (read, fields.complaints)
}

/// What a strand's resource of this generation says to its sidecar. What can't be read is as if it were not there.
pub(super) fn assignment(generation: Option<i64>, object: &Value) -> Assignment {
    let mut fields = Fields {
        object,
        complaints: Vec::new(),
    };
    let uid = fields.get("/spec/claimUid").ok().flatten();
    let named = object
        .pointer("/spec/claimName")
        .is_some_and(|it| !it.is_null());
    let claim = match uid {
        Some(uid) => Claim::Uid(uid),
        None if named || object.pointer("/spec").is_none() => Claim::Unknown,
        None => Claim::None,
    };
    Assignment {
        generation,
        claim,
        holder_uid: fields.get("/spec/holder/podUid").ok().flatten(),
        witnessed_seq: fields.get("/spec/witnessed/seq").ok().flatten(),
        counts_foreign_writes: fields
            .get("/spec/countsForeignWrites")
            .ok()
            .flatten()
            .unwrap_or(false),
        conditions: fields
            .get("/status/conditions")
            .ok()
            .flatten()
            .unwrap_or_default(),
    }
}

/// Where the strand is to be archived. Where that can't be read, what is known stays, or else nothing is pruned: what goes never
/// comes back.
fn archive(fields: &mut Fields<'_>, known: &Integration) -> Option<ArchiveRequest> {
    let Ok(archive) = fields.get::<Archive>("/spec/archive") else {
        let unread = || request(&Archive::default(), None);
        return Some(known.archive.clone().unwrap_or_else(unread));
    };
    let archive = archive?;
    let place = archive.url.parse();
    let place = place.map_err(|error: boboyka_archive::PlaceError| {
        fields.complain("/spec/archive/url", &error.to_string());
    });
    if archive_after(&archive.after).is_none() {
        fields.complain("/spec/archive/after", "it is not understood");
    }
    Some(request(&archive, place.ok()))
}

fn request(archive: &Archive, place: Option<Place>) -> ArchiveRequest {
    let secret = archive.secret().map(ToOwned::to_owned);
    ArchiveRequest {
        place,
        after: archive_after(&archive.after).unwrap_or(ARCHIVE_AFTER),
        keys: secret.map_or(Keys::Own, Keys::Secret),
    }
}

/// The policy that the operator made of the integration; without an operator the witnesses of the integration alone.
fn witness_policy(fields: &mut Fields<'_>) -> Option<String> {
    let made = fields.get("/status/witnessPolicy").ok().flatten();
    made.or_else(|| {
        let audit: Option<Audit> = fields.get("/spec/audit").ok().flatten();
        audit?.policy(None)
    })
}

/// The list of legacy projects in force: that of the specification, if it is the one that the status speaks of, or that of the
/// status. `None` while it is not known.
fn legacy(fields: &mut Fields<'_>, known: &Integration) -> Option<ListChange> {
    if fields.object.pointer("/status/phase").is_none() {
        // An integration that was made again has none at first.
        return known.legacy.clone();
    }
    let Ok(status) = fields.get::<LegacyStatus>("/status/migration/legacy") else {
        return known.legacy.clone();
    };
    let migration = fields.get::<Migration>("/spec/migration");
    let asked = migration.ok().flatten().unwrap_or_default();
    let Some(status) = status else {
        // The operator has not read the names yet: that there are none is not known.
        return asked.reads().is_none().then(ListChange::default);
    };
    let list = status.list(asked.legacy(None).as_ref())?;
    Some(ListChange {
        list,
        generation: status.generation,
        revision: status.revision,
        by: status.by,
    })
}

/// The tables of the mirror. Where they can't be read, those that are known stay: another table would get the rows.
fn tables(fields: &mut Fields<'_>) -> Result<BTreeMap<String, MirrorTable>, Unread> {
    let pointer = "/spec/supabase/mirror/tables";
    let tables = fields.get(pointer)?.unwrap_or_default();
    match rules::check_tables(&tables).first() {
        None => Ok(tables),
        Some(violation) => {
            fields.complain(pointer, &violation.message);
            Err(Unread)
        }
    }
}

/// How long payloads are kept. Those whose age can't be read are kept: what goes never comes back.
fn payload_ages(fields: &mut Fields<'_>) -> PayloadAges {
    PayloadAges::from_fn(|kind: RecordType| {
        kind.table()?;
        let pointer = format!("/spec/retention/types/{kind}/maxAge");
        let age = fields.parse(&pointer, quantity::duration)?;
        Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    })
}

fn pace(interval: Option<u64>, held: Option<u32>) -> Pace {
    let seconds = interval.unwrap_or(INTERVAL_DEFAULT).clamp(1, INTERVAL_MAX);
    let fleet = Duration::from_secs_f64(f64::from(held.unwrap_or(0)) / REPORTS_PER_SECOND);
    let slow = if seconds > INTERVAL_DEFAULT {
        Duration::from_secs(seconds) / 2
    } else {
        Duration::ZERO
    };
    Pace {
        interval: Duration::from_secs(seconds),
        spread: fleet.max(slow),
    }
}

/// It can't be read, and that was noted.
struct Unread;

struct Fields<'a> {
    object: &'a Value,
    complaints: Vec<String>,
}

impl Fields<'_> {
    fn get<T: DeserializeOwned>(&mut self, pointer: &str) -> Result<Option<T>, Unread> {
        match self
            .object
            .pointer(pointer)
            .filter(|value| !value.is_null())
        {
            None => Ok(None),
            Some(value) => T::deserialize(value).map(Some).map_err(|error| {
                self.complain(pointer, &error.to_string());
                Unread
            }),
        }
    }

    fn parse<T>(&mut self, pointer: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text: String = self.get(pointer).ok()??;
        let parsed = parse(&text);
        if parsed.is_none() {
            self.complain(pointer, &format!("{text:?} is not understood"));
        }
        parsed
    }

    fn complain(&mut self, pointer: &str, why: &str) {
        let path = pointer.trim_start_matches('/').replace('/', ".");
        let why: String = why.chars().take(COMPLAINT_MAX).collect();
        self.complaints.push(format!("{path}: {why}"));
    }
}
