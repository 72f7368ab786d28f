//! Headers that may come once: what is to be believed when two of them differ, no two programs agree on.

use axum::http::HeaderMap;

use super::error::ApiError;

/// The value of a header, if it came.
///
/// # Errors
/// It came twice, or has bytes that are not visible ASCII.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::parameter(name, "must come once"));
    }
    let text = value
        .to_str()
        .map_err(|_| ApiError::parameter(name, "must be visible ASCII"));
    text.map(Some)
}
