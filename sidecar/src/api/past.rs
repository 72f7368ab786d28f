//! The strand as it was: `GET /v1/boboyka/state/…`, `/history/…`, `/counts`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use boboyka_store::{AsOf, HistoryQuery, Missing, RecordName, StatesQuery, Version};
use boboyka_strand::{Head, RecordType, Seq};
use serde::Serialize;

use super::cursor::At;
use super::error::{ApiError, Code};
use super::gone::with_payload;
use super::moment::{self, AS_OF};
use super::paged;
use super::parameters::{Key, KeyedType, PAGE_MAX_BYTES, Parameters};
use super::state::Api;
use super::unreadable;
use super::wire::{
    CountsJson, EventCounts, HistoryJson, MissingJson, StateJson, StatesJson, VersionJson,
};

const PROOF: &str = "proof";
const PAGE: [&str; 5] = ["limit", "cursor", "include", AS_OF, PROOF];
/// Elements of a page with proofs: each takes a look at the tree.
const PROOFS_MAX: usize = 100;

/// The newest version of a key.
pub(super) async fn state(
    State(api): State<Arc<Api>>,
    key: Key,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.only(&[AS_OF, PROOF])?;
    let as_of = moment::asked(&parameters)?;
    let shown = Shown {
        data: true,
        proof: with_proof(&parameters)?,
    };
    paged::answer(api, move |api| {
        let head = api.store.moment(as_of)?;
        let (record_type, key) = (key.record_type, key.key);
        let (version, missing) = api.store.newest_version(record_type, &key, &head)?;
        let floor = floor(api);
        let version = version.ok_or_else(|| no_version(api, record_type, &key, &head, &missing))?;
        let version = Version {
            block: with_payload(api, version.block)?,
            ..version
        };
        json(&StateJson {
            record_type,
            key: &key,
            version: shown.version(api, &version, &head)?,
            head: (&head).into(),
            floor,
            missing: told(missing),
        })
    })
    .await
}

/// The versions of a key, newest first.
pub(super) async fn history(
    State(api): State<Arc<Api>>,
    key: Key,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let (record_type, key) = (key.record_type, key.key);
    let asked = Asked::parse(&parameters, &format!("history/{record_type}/{key}"))?;
    paged::answer(api, move |api| {
        let head = asked.head(api)?;
        let page = api.store.history(&HistoryQuery {
            record_type,
            key: key.clone(),
            at_most: asked.at.map_or(head.seq, |at| at.place.min(head.seq)),
            limit: asked.limit,
            max_payload_bytes: PAGE_MAX_BYTES,
        })?;
        let versions = page.versions.iter();
        let versions: Result<_, ApiError> = versions
            .map(|version| asked.shown.version(api, version, &head))
            .collect();
        json(&HistoryJson {
            record_type,
            key: &key,
            versions: versions?,
            next_cursor: asked.cursor(&head, page.next),
            head: (&head).into(),
            floor: floor(api),
            missing: told(page.missing),
        })
    })
    .await
}

/// The newest version of every key of a type.
pub(super) async fn states(
    State(api): State<Arc<Api>>,
    KeyedType(record_type): KeyedType,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let asked = Asked::parse(&parameters, &format!("state/{record_type}"))?;
    paged::answer(api, move |api| {
        let head = asked.head(api)?;
        let page = api.store.states(&StatesQuery {
            record_type,
            moment: head,
            after: asked.at.map(|at| at.place),
            limit: asked.limit,
            payloads: asked.shown.data,
            max_payload_bytes: PAGE_MAX_BYTES,
        })?;
        let states = page.versions.iter();
        let states: Result<_, ApiError> = states
            .map(|version| Ok(asked.shown.version(api, version, &head)?.keyed(version)))
            .collect();
        json(&StatesJson {
            record_type,
            states: states?,
            next_cursor: asked.cursor(&head, page.next),
            head: (&head).into(),
            floor: floor(api),
            missing: told(page.missing),
        })
    })
    .await
}

/// How many records of each type there were.
pub(super) async fn counts(
    State(api): State<Arc<Api>>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.only(&[AS_OF])?;
    let as_of = moment::asked(&parameters)?;
    paged::answer(api, move |api| {
        let head = api.store.moment(as_of)?;
        let counts = api.store.counts(&head)?;
        json(&CountsJson {
            total_events: counts.counts.values().sum(),
            event_counts: EventCounts(counts.counts),
            head: (&head).into(),
            floor: floor(api),
            missing: told(counts.missing),
        })
    })
    .await
}

/// What is shown of a version.
#[derive(Clone, Copy)]
struct Shown {
    data: bool,
    proof: bool,
}

impl Shown {
    fn version<'a>(
        self,
        api: &Api,
        version: &'a Version,
        head: &Head,
    ) -> Result<VersionJson<'a>, ApiError> {
        let is_deleted = is_deleted(api, version, head)?;
        let proof = if self.proof {
            let name = RecordName::Seq(version.block.header.seq);
            api.store.prove(&name)?
        } else {
            None
        };
        let shown = VersionJson::new(version, is_deleted, self.data);
        Ok(shown.proven(proof.map(|proof| proof.bundle.to_string())))
    }
}

/// Whether each version brings the proof of its record.
fn with_proof(parameters: &Parameters) -> Result<bool, ApiError> {
    match parameters.get(PROOF) {
        None => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ApiError::parameter(PROOF, "can only be true")),
    }
}

/// Whether a version had been taken back when the head was the newest record.
fn is_deleted(api: &Api, version: &Version, head: &Head) -> Result<bool, ApiError> {
    // Tombstones are documents: without any, nothing has to be looked up.
    if api.store.view().counts[RecordType::Document] == 0 {
        return Ok(false);
    }
    let deletion = api.tombstones.of(&api.store, &version.block.hash)?;
    Ok(deletion.is_some_and(|deletion| deletion.is_by(head.seq)))
}

fn json(answer: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(answer).map_err(|_| ApiError::internal())
}

fn floor(api: &Api) -> Seq {
    api.store.view().floor.head.seq
}

fn told(missing: Vec<Missing>) -> Vec<MissingJson> {
    unreadable::log_missing(&missing);
    missing.into_iter().map(MissingJson::from).collect()
}

/// No version of a key is held: what is known of why.
fn no_version(
    api: &Api,
    record_type: RecordType,
    key: &str,
    head: &Head,
    missing: &[Missing],
) -> ApiError {
    let seq = head.seq;
    let none = format!("this strand has no {record_type} record of {key:?} up to seq {seq}");
    if let Some(missing) = missing.first() {
        let (first, last) = (missing.first_seq, missing.last_seq);
        let is_lost = api.store.gaps().iter().any(|gap| gap.holds(first));
        let (code, how) = if is_lost {
            (Code::Lost, "were lost")
        } else {
            (Code::StrandDamaged, "can't be read")
        };
        let message = format!("{none}, but the records {first} to {last} {how} and may hold one");
        return ApiError::new(code, message).about("key");
    }
    let floor = floor(api);
    let pruned = format!("; the records up to seq {floor} were pruned, and may have held one");
    let message = if floor > 0 { none + &pruned } else { none };
    ApiError::not_found(message).about("key")
}

/// What a reader of pages asked for.
struct Asked {
    as_of: AsOf,
    at: Option<At>,
    limit: usize,
    shown: Shown,
    /// What a cursor must have been made for.
    filter: String,
}

impl Asked {
    fn parse(parameters: &Parameters, what: &str) -> Result<Self, ApiError> {
        parameters.only(&PAGE)?;
        let as_of = moment::asked(parameters)?;
        let filter = format!("{what}?{}", parameters.get(AS_OF).unwrap_or_default());
        let cursor = parameters.get("cursor").map(|text| {
            At::decode(text, &filter).ok_or_else(|| {
                let must = "is not one that this list gave for these parameters";
                ApiError::parameter("cursor", must)
            })
        });
        let shown = Shown {
            data: parameters.with_data()?,
            proof: with_proof(parameters)?,
        };
        let limit = parameters.limit()?;
        if shown.proof && limit > PROOFS_MAX {
            return Err(ApiError::parameter("limit", "must be 1 to 100 with proofs"));
        }
        Ok(Self {
            as_of,
            at: cursor.transpose()?,
            limit,
            shown,
            filter,
        })
    }

    /// The head that all pages are of: the first page finds it, and its cursor keeps it.
    fn head(&self, api: &Api) -> Result<Head, ApiError> {
        let as_of = self.at.map_or(self.as_of, |at| AsOf::Seq(at.head));
        Ok(api.store.moment(as_of)?)
    }

    fn cursor(&self, head: &Head, place: Option<u64>) -> Option<String> {
        let at = At {
            head: head.seq,
            place: place?,
        };
        Some(at.encode(&self.filter))
    }
}
