//! Headers that must not come twice: programs differ in which of the two they believe.

use axum::http::HeaderMap;

use super::error::ApiError;

/// The value of a header, if the request has it.
///
/// # Errors
/// The request has the header twice, or its value is not visible ASCII.
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
