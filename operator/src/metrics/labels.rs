//! The values of the metrics' labels: alerts match on them, so each is written here and nowhere else.

/// An enum whose variants are a label's values.
macro_rules! values {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$doc])* $value,)*
        }

        impl $name {
            /// The value as it is written.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }

            /// All values as they are written.
            pub(crate) const ALL: &'static [&'static str] = &[$($text,)*];
        }
    };
}

values! {
    /// How a reconciliation ended.
    Reconciled {
        /// It succeeded; a closed gate is no failure.
        Ok = "ok",
        /// It failed and is retried.
        Error = "error",
    }
}

values! {
    /// How an admission review ended.
    Admitted {
        /// The pod was admitted with a sidecar.
        Injected = "injected",
        /// The change of an integration was admitted, with who made it.
        Signed = "signed",
        /// The pod was admitted unchanged.
        Skipped = "skipped",
        /// The pod was refused.
        Refused = "refused",
        /// The request was no review.
        Malformed = "malformed",
        /// The answer could not be written.
        Failed = "failed",
        /// The decision panicked.
        Panicked = "panicked",
        /// The decision took too long.
        TimedOut = "timed_out",
    }
}

values! {
    /// Whether a pod holds a strand.
    StrandState {
        /// A pod holds it.
        Held = "held",
        /// No pod holds it.
        Free = "free",
    }
}
