//! What has a form on the disk.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Unreadable;

/// A value that has a form on the disk.
pub(crate) trait Stored: Sized {
    /// What it is called in errors.
    const NAME: &'static str;
    /// Its elements, in their order.
    type Form: Serialize + DeserializeOwned;

    fn to_form(&self) -> Self::Form;
    /// `Err` says which element means nothing.
    fn from_form(form: Self::Form) -> Result<Self, String>;

    /// The value as it lies on the disk.
    fn to_bytes(&self) -> Result<Vec<u8>, Unreadable> {
        rmp_serde::to_vec(&self.to_form()).map_err(|error| Self::unreadable(error.to_string()))
    }

    /// The value that lies on the disk.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let form = rmp_serde::from_slice(bytes);
        let form = form.map_err(|error| Self::unreadable(error.to_string()))?;
        Self::from_form(form).map_err(Self::unreadable)
    }

    /// Wraps the reason.
    fn unreadable(why: String) -> Unreadable {
        let what = Self::NAME;
        Unreadable { what, why }
    }
}
