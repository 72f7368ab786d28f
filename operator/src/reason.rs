//! The types of conditions and the reasons of conditions and Events: every word that a person or an alert may match on.
//!
//! Sidecars report six conditions with reasons of their own, which the operator passes on.

/// An enum of words, each named as it is written, with all of them in a list.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $word:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $word,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$word,)*];

            /// The word as it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => stringify!($word),)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The type of a condition of a `BoboykaIntegration`.
    ConditionType {
        /// Sums up all others.
        Ready,
        /// Something is on its way that needs nobody's help; absent otherwise.
        Reconciling,
        /// Somebody must act before anything goes on; absent otherwise.
        Stalled,
        /// Every chain is intact and continues what was seen before.
        ChainIntact,
        /// Sidecars report that Supabase accepts their key.
        CredentialsAccepted,
        /// Sidecars report that Supabase answers.
        SupabaseReachable,
        /// No legal hold is on, and sidecars report that retention does not wait.
        RetentionEnforced,
        /// Sidecars report that a node's clock is behind its strand; absent otherwise.
        ClockInStep,
        /// Sidecars report that every witness cosigns their strands' checkpoints.
        CheckpointsCosigned,
        /// No sidecar that has reported fails with its archive, or is ten minutes behind; absent without one.
        Archived,
        /// Supabase has every record that the phase mirrors.
        MirrorCaughtUp,
        /// Strands outlive their pods.
        StorageDurable,
        /// No strand is fenced.
        StrandsUnfenced,
        /// The workloads that the selector chooses have the label.
        WorkloadsSelected,
        /// The list of legacy projects was read from its ConfigMap; absent without one.
        LegacyProjectsRead,
        /// Every sidecar runs the image that the integration asks for.
        SidecarsUpToDate,
    }
}

words! {
    /// The reason of a condition or an Event that the operator itself gives.
    Reason {
        /// Nothing is wrong.
        AsExpected,
        /// No pod of the integration runs.
        NoPods,
        /// The specification breaks a rule.
        InvalidSpec,
        /// A write to the API server failed and is retried.
        NotApplied,
        /// A gate keeps the next phase from coming into force.
        PhaseGateClosed,
        /// The migration is paused while a step waits.
        MigrationPaused,
        /// The end of the migration was asked for: what becomes irreversible. Only on Events.
        MigrationEnds,
        /// The migration has ended. Only on Events.
        MigrationFinalized,
        /// A step was made although gates were closed. Only on Events.
        GatesForced,
        /// The list of legacy projects in force changed. Only on Events.
        LegacyProjectsChanged,
        /// Supabase is known to have everything of projects that left the list. Only on Events.
        LegacyProjectMigrated,
        /// A step towards the requested phase was made, and another follows.
        PhaseAdvancing,
        /// The phase in force changed. Only on Events.
        PhaseInForce,
        /// A ConfigMap of legacy projects, or its key, is not there.
        LegacyListMissing,
        /// A ConfigMap of legacy projects has a line that is no name.
        LegacyListInvalid,
        /// Labelled pods run without a sidecar.
        SidecarMissing,
        /// Sidecars have not reported that they are ready.
        SidecarsNotReady,
        /// Sidecars are being moved to another image.
        RollingOut,
        /// A sidecar did not become ready with its new image.
        RolloutStopped,
        /// Sidecars run with a Secret or resources that the integration had before.
        OldSettings,
        /// The integration is suspended.
        Suspended,
        /// A strand ends before a head that was seen.
        HeadWentBack,
        /// A strand has another block where one was seen.
        HeadForked,
        /// A strand has fewer records than the operator cosigned as a witness.
        LogRewound,
        /// A strand has other records than the operator cosigned as a witness.
        LogForked,
        /// The claim of a strand was deleted.
        ClaimLost,
        /// The claim of a strand is another one than before.
        ClaimReplaced,
        /// A sidecar reports a broken chain.
        ChainBroken,
        /// Supabase refuses records.
        DeadLetters,
        /// A Job failed to mirror what a strand without a pod has left.
        DrainFailed,
        /// A backfill has imported everything that it was asked for.
        BackfillDone,
        /// Something stands in the way of a backfill.
        BackfillFailed,
        /// Strands can't be archived.
        ArchiveFails,
        /// What is due of strands waits for their archive for too long.
        ArchiveBehind,
        /// Sidecars have not reported of the archive that the integration asks for.
        ArchiveNotReported,
        /// Records wait for Supabase.
        Backlog,
        /// The phase in force mirrors nothing.
        PhaseMirrorsNothing,
        /// A pod waits for the volume of its strand's claim.
        ClaimPending,
        /// The volume of a strand's claim is gone.
        VolumeLost,
        /// Strands are lost with their pods.
        EphemeralStorage,
        /// Somebody set a legal hold: no strand is pruned.
        LegalHold,
        /// Somebody lifted the legal hold. Only on Events.
        LegalHoldLifted,
        /// Somebody fenced strands: no pod gets them.
        Fenced,
        /// The same, and pods still hold some of them.
        StillHeld,
        /// The selector can't be read.
        InvalidSelector,
        /// An older integration selects the same workloads.
        Overlap,
        /// Another field manager set the label of a workload.
        Conflict,
    }
}

/// The reason of the Event that says that a condition is true again.
pub fn again(condition: &str) -> String {
    format!("{condition}Again")
}

#[cfg(test)]
mod tests {
    use super::{ConditionType, Reason};

    #[test]
    fn the_document_says_of_every_condition_and_every_reason_what_to_do() {
        let document = include_str!("../../docs/troubleshooting.md");
        let (_, own) = document.split_once("\n## Conditions").unwrap();
        let (own, _) = own.split_once("\n## Reasons of a strand").unwrap();
        let words = Reason::ALL.iter().map(|reason| reason.as_str());
        let words = words.chain(ConditionType::ALL.iter().map(|kind| kind.as_str()));
        let mut listed: Vec<_> = own.lines().filter(|line| line.starts_with("| `")).collect();
        for word in words {
            let before = listed.len();
            listed.retain(|line| !line.starts_with(&format!("| `{word}` |")));
            assert_eq!(before, listed.len() + 1, "{word}");
        }
        assert!(listed.is_empty(), "no word of ours: {listed:?}");
    }
}
