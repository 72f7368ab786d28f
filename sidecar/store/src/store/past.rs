//! Reading the strand as it was. All of it blocks, like [`super::read`].

use boboyka_strand::{Head, RecordType};

use super::handle::Store;
use crate::clock::now_ms;
use crate::error::ReadError;
use crate::page::Missing;
use crate::past::{
    self, AsOf, Counts, History, HistoryQuery, MomentError, States, StatesQuery, Version,
};

impl Store {
    /// The head at a moment.
    ///
    /// # Errors
    /// The moment is none of this strand, or was pruned.
    pub fn moment(&self, as_of: AsOf) -> Result<Head, MomentError> {
        past::resolve(&self.shared, as_of, now_ms())
    }

    /// The newest version of a key at a moment, and what can't be known above it.
    ///
    /// # Errors
    /// The newest version can't be read, or the versions are not gathered yet.
    pub fn newest_version(
        &self,
        record_type: RecordType,
        key: &str,
        moment: &Head,
    ) -> Result<(Option<Version>, Vec<Missing>), ReadError> {
        past::newest(&self.shared, record_type, key, moment)
    }

    /// A page of the versions of a key, newest first.
    ///
    /// # Errors
    /// The versions are not gathered yet.
    pub fn history(&self, query: &HistoryQuery) -> Result<History, ReadError> {
        past::history(&self.shared, query)
    }

    /// A page of all keys of a type, each with its newest version.
    ///
    /// # Errors
    /// The versions are not gathered yet.
    pub fn states(&self, query: &StatesQuery) -> Result<States, ReadError> {
        past::states(&self.shared, query)
    }

    /// Records of each type up to a moment.
    ///
    /// # Errors
    /// The part of the strand around the moment can't be read.
    pub fn counts(&self, moment: &Head) -> Result<Counts, ReadError> {
        past::counts(&self.shared, moment)
    }
}
