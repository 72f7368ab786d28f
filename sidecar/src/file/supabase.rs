//! Whose credentials the mirror uses: those of the folder that a flag names, those of the file, those of the variables.

use boboyka_mirror::{SupabaseSource, Told};

use super::documents::Documents;
use super::machine::Machine;

/// The credentials that flags and variables name.
pub(super) struct Elsewhere(pub(super) SupabaseSource);

impl Elsewhere {
    /// What the mirror is told.
    pub(super) fn told(&self, machine: &Machine) -> Told {
        let Some(accepted) = machine.accepted() else {
            let wrong = machine.wrong().unwrap_or_default();
            return Err(format!("the file of the integration is wrong: {wrong}").into());
        };
        // After the end of the migration nothing is mirrored any more.
        if machine.decided().finalized.is_some() {
            return Ok(None);
        }
        match (&accepted.credentials, &self.0) {
            (Some(credentials), _) | (None, SupabaseSource::Fixed(credentials)) => {
                Ok(Some(credentials.clone()))
            }
            (None, SupabaseSource::Wrong(reason)) => Err(reason.clone()),
            (None, _) => match &accepted.spec.supabase {
                None => Ok(None),
                Some(supabase) => Err(format!(
                    "the file of the integration has no Secret {}: add it, or set BOBOYKA_SUPABASE_URL and BOBOYKA_SUPABASE_KEY",
                    supabase.secret_ref.name
                )
                .into()),
            },
        }
    }

    /// Whether there is a Supabase to mirror to, so that gates and retention wait for it.
    pub(super) fn has_supabase(&self, accepted: Option<&Documents>) -> bool {
        // What is not known yet may name one.
        let named = accepted.is_none_or(|documents| documents.spec.supabase.is_some());
        named || !matches!(self.0, SupabaseSource::Absent)
    }

    /// What of the file is not used.
    pub(super) fn unused(&self, accepted: Option<&Documents>) -> Vec<String> {
        let Some(documents) = accepted else {
            return Vec::new();
        };
        let mut unused = documents.unused.clone();
        if documents.credentials.is_some() && matches!(self.0, SupabaseSource::Folder(_)) {
            unused.push("the Secret, because --supabase-dir names a folder".to_owned());
        }
        unused
    }
}
