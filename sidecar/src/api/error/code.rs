//! The codes of errors, each with its status: one table.

use axum::http::StatusCode;

/// Makes [`Code`] of one table: name, status, the code on the wire, the same in a few words.
macro_rules! codes {
    ($($name:ident: $status:ident, $code:literal, $error:literal;)*) => {
        /// What went wrong, for programs; `docs/api.md` lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $($name,)*
        }

        impl Code {
            /// All of them, in the order of their names here.
            pub(in crate::api) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The status, the code on the wire, the same in a few words.
            pub(in crate::api) const fn parts(self) -> (StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$name => (StatusCode::$status, $code, $error),)*
                }
            }
        }
    };
}

codes! {
    BadParameter: BAD_REQUEST, "bad_parameter", "bad parameter";
    BodyCutShort: BAD_REQUEST, "body_cut_short", "body cut short";
    BodyTimeout: REQUEST_TIMEOUT, "body_timeout", "body timeout";
    CatchingUp: SERVICE_UNAVAILABLE, "catching_up", "catching up";
    DiskFull: INSUFFICIENT_STORAGE, "disk_full", "disk full";
    DuplicateField: UNPROCESSABLE_ENTITY, "duplicate_field", "duplicate field";
    ForbiddenHost: FORBIDDEN, "forbidden_host", "forbidden";
    ForbiddenOrigin: FORBIDDEN, "forbidden_origin", "forbidden";
    IdempotencyConflict: CONFLICT, "idempotency_conflict", "idempotency conflict";
    HeadTooLarge: REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "request head too large";
    Internal: INTERNAL_SERVER_ERROR, "internal", "internal error";
    InvalidField: UNPROCESSABLE_ENTITY, "invalid_field", "invalid field";
    LaneBusy: SERVICE_UNAVAILABLE, "lane_busy", "lane busy";
    Lost: GONE, "lost", "lost";
    MalformedJson: BAD_REQUEST, "malformed_json", "malformed JSON";
    MalformedRequest: BAD_REQUEST, "malformed_request", "malformed request";
    MethodNotAllowed: METHOD_NOT_ALLOWED, "method_not_allowed", "method not allowed";
    MirrorDisabled: CONFLICT, "mirror_disabled", "mirror disabled";
    MissingField: UNPROCESSABLE_ENTITY, "missing_field", "missing field";
    NotAnObject: UNPROCESSABLE_ENTITY, "not_an_object", "not an object";
    NotDeleted: CONFLICT, "not_deleted", "not deleted";
    NotFound: NOT_FOUND, "not_found", "not found";
    NotSupported: NOT_IMPLEMENTED, "not_supported", "not supported";
    NulInText: UNPROCESSABLE_ENTITY, "nul_in_text", "NUL in text";
    NumberNotKept: UNPROCESSABLE_ENTITY, "number_not_kept", "number can't be kept";
    PayloadGone: GONE, "payload_gone", "payload gone";
    Pruned: GONE, "pruned", "pruned";
    QueueFull: TOO_MANY_REQUESTS, "queue_full", "queue full";
    ReservedField: UNPROCESSABLE_ENTITY, "reserved_field", "reserved field";
    ScanTooLong: UNPROCESSABLE_ENTITY, "scan_too_long", "scan too long";
    ShuttingDown: SERVICE_UNAVAILABLE, "shutting_down", "shutting down";
    StorePoisoned: SERVICE_UNAVAILABLE, "store_poisoned", "store poisoned";
    StreamBusy: TOO_MANY_REQUESTS, "stream_busy", "too many streams";
    StrandDamaged: INTERNAL_SERVER_ERROR, "strand_damaged", "strand damaged";
    TargetTooLong: URI_TOO_LONG, "target_too_long", "request target too long";
    TooDeep: UNPROCESSABLE_ENTITY, "too_deep", "nested too deep";
    TooLarge: PAYLOAD_TOO_LARGE, "too_large", "too large";
    Unauthorized: UNAUTHORIZED, "unauthorized", "unauthorized";
    UnknownRecordType: UNPROCESSABLE_ENTITY, "unknown_record_type", "unknown record type";
    LogUnavailable: SERVICE_UNAVAILABLE, "log_unavailable", "log unavailable";
    SlowReader: REQUEST_TIMEOUT, "slow_reader", "slow reader";
    VersionsNotReady: SERVICE_UNAVAILABLE, "versions_not_ready", "versions not ready";
    VerifyBusy: TOO_MANY_REQUESTS, "verify_busy", "verification busy";
    UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "unsupported media type";
}
