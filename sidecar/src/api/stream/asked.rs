//! What a reader of the stream asks for.

use axum::http::HeaderMap;
use boboyka_strand::{RecordType, Seq};

use crate::api::error::ApiError;
use crate::api::headers::single;
use crate::api::parameters::Parameters;

const LAST_EVENT_ID: &str = "Last-Event-ID";

/// What a reader of the stream asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Only records after this seq.
    pub(super) after: Seq,
    /// Only this type; all when `None`.
    pub(super) record_type: Option<RecordType>,
    /// Whether events have the records themselves.
    pub(super) with_data: bool,
}

impl Asked {
    /// The header is newer than the parameter: a browser that comes back repeats the address of its first request.
    pub(super) fn parse(
        headers: &HeaderMap,
        parameters: &Parameters,
        head: Seq,
    ) -> Result<Self, ApiError> {
        parameters.only(&["after", "record_type", "include"])?;
        let seq = |name: &'static str, text: &str| {
            let seq = text.parse().ok().filter(|seq| *seq <= head);
            seq.ok_or_else(|| {
                ApiError::parameter(name, &format!("must be a seq of this strand, 0 to {head}"))
            })
        };
        let header = single(headers, LAST_EVENT_ID)?.filter(|id| !id.is_empty());
        let after = match (header, parameters.get("after")) {
            (Some(text), _) => seq(LAST_EVENT_ID, text)?,
            (None, Some(text)) => seq("after", text)?,
            (None, None) => head,
        };
        Ok(Self {
            after,
            record_type: parameters.record_type()?,
            with_data: parameters.with_data()?,
        })
    }
}
