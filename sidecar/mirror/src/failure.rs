//! A request that did not do what it should, in our own words. `PostgREST`'s `message` may quote values
//! of the refused row and `details` does, so neither is kept: the code, and where it is certain to be
//! one, the name of the column or constraint.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::classify::{Answer, Class, NOT_KEPT, classify};
use crate::misfit;

/// Longest name of a column or constraint that is repeated: Postgres cuts identifiers at 63 bytes.
const IDENTIFIER_MAX_BYTES: usize = 63;

/// Longest code that is repeated: all of Postgres' and `PostgREST`'s are shorter.
const CODE_MAX_BYTES: usize = 16;

/// Why a request failed. Holds neither a secret nor row data, so it may be logged and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What follows from it.
    pub class: Class,
    /// An SQLSTATE, a code of `PostgREST`'s, `HTTP 503`, or a word of ours.
    pub code: String,
    /// A short text: what happened.
    pub message: String,
    /// What the server asked for.
    pub retry_after: Option<Duration>,
    /// Whether the connection ended before an answer: a body that is too large can look like that.
    pub reset: bool,
    /// Whether the rows may be stored nevertheless, or still be on their way there.
    pub ambiguous: bool,
}

impl Failure {
    /// A request without a usable answer.
    pub(crate) fn network(code: &str, message: &str) -> Self {
        Self {
            class: Class::Transient,
            code: code.to_owned(),
            message: message.to_owned(),
            retry_after: None,
            reset: false,
            ambiguous: false,
        }
    }

    /// A table that is not what the settings ask for.
    pub(crate) fn schema(message: &str) -> Self {
        Self {
            class: Class::Schema,
            ..Self::network("settings", message)
        }
    }

    /// A row that the table accepted and did not keep.
    pub(crate) fn not_kept() -> Self {
        let message =
            "the table accepted the record and kept no row of it; a trigger may discard it";
        Self {
            class: Class::Poison,
            ..Self::network(NOT_KEPT, message)
        }
    }

    /// No connection.
    pub(crate) fn unreachable() -> Self {
        Self::network("unreachable", "supabase unreachable")
    }

    /// A connection to a server whose certificate no known authority has signed.
    pub(crate) fn untrusted() -> Self {
        Self::network("untrusted", "supabase's certificate is not trusted")
    }

    /// No answer within the time allowed: the rows may be there or not.
    pub(crate) fn timed_out() -> Self {
        Self {
            ambiguous: true,
            ..Self::network("timeout", "supabase did not answer in time")
        }
    }

    /// The connection ended before the answer did.
    pub(crate) fn reset() -> Self {
        Self {
            reset: true,
            ambiguous: true,
            ..Self::network("reset", "supabase closed the connection")
        }
    }

    /// A web page where `PostgREST` should have answered.
    pub(crate) fn not_postgrest() -> Self {
        let message = "the supabase url answers with a web page";
        Self {
            class: Class::Schema,
            ..Self::network("not_postgrest", message)
        }
    }

    /// The failure that an answer other than success tells. `body` is its (bounded) text, `sent` the
    /// rows that it answers: where the answer quotes a value, they tell whose it is.
    pub(crate) fn from_answer(
        table: &str,
        status: u16,
        body: &[u8],
        sent: &[u8],
        retry_after: Option<Duration>,
    ) -> Self {
        let parsed: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
        let code = parsed.code.as_str().filter(|code| is_code(code));
        let message = parsed.message.as_str().unwrap_or_default();
        let on_record_hash = is_about_record_hash(message, parsed.details.as_str());
        let class = classify(&Answer {
            status,
            code,
            message,
            on_record_hash,
        });
        let misfit = code.and_then(|code| misfit::words(code, message, sent));
        Self {
            class,
            message: misfit.unwrap_or_else(|| words(class, table, status, code, message)),
            code: code.map_or_else(|| format!("HTTP {status}"), str::to_owned),
            retry_after,
            reset: false,
            // A gateway that gave up does not know what came of the request behind it.
            ambiguous: code.is_none() && matches!(status, 408 | 500 | 502..=504 | 520..=524),
        }
    }

    /// Whether a column of the request is not in the table, or filled by the table itself: an identity,
    /// a generated column, a view's expression.
    pub(crate) fn is_unfillable_column(&self) -> bool {
        matches!(self.code.as_str(), "PGRST204" | "42703" | "428C9" | "0A000")
    }

    /// Whether somebody answered.
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(
            self.code.as_str(),
            "unreachable" | "untrusted" | "timeout" | "reset"
        )
    }

    /// Whether neither `PostgREST` nor the database said it, so that something in between may have.
    pub(crate) fn is_of_a_gateway(&self) -> bool {
        self.code.starts_with("HTTP ") || self.code == "not_postgrest"
    }
}

/// The part of an error body that counts. `details` decides one thing here and is dropped.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Value,
    message: Value,
    details: Value,
}

/// A trigger may raise any text as a code, so only what looks like one is believed.
fn is_code(code: &str) -> bool {
    (1..=CODE_MAX_BYTES).contains(&code.len())
        && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_about_record_hash(message: &str, details: Option<&str>) -> bool {
    match details {
        Some(details) => details.starts_with("Key (record_hash)="),
        // Newer versions may leave the details out; then the constraint's name has to do.
        None => between(message, "unique constraint \"", "\"")
            .is_some_and(|constraint| constraint.contains("record_hash")),
    }
}

fn words(class: Class, table: &str, status: u16, code: Option<&str>, message: &str) -> String {
    let answer = code.map_or_else(|| status.to_string(), str::to_owned);
    match class {
        Class::Done => "the row is there already".to_owned(),
        Class::Transient if matches!(status, 420 | 429) => {
            format!("supabase asks to slow down ({status})")
        }
        Class::Transient if code.is_some_and(|code| code.starts_with("PGRST00")) => {
            "supabase can't reach its database".to_owned()
        }
        Class::Transient => format!("supabase answered {status}"),
        Class::Auth if code == Some("42501") => format!("no permission on table {table}"),
        Class::Auth => auth_words(message).to_owned(),
        Class::Schema => schema_words(table, status, code, message),
        Class::TimedOut => format!("table {table} was locked or busy for too long ({answer})"),
        Class::Suspect => format!("supabase or a gateway refuses the record ({answer})"),
        Class::Size => format!("too large for supabase ({answer})"),
        Class::Poison | Class::Dependency => poison_words(&answer, message),
        Class::ReadOnly => format!("supabase takes no writes for now ({answer})"),
    }
}

/// What `PostgREST` says about a token quotes nothing of it.
fn auth_words(message: &str) -> &'static str {
    match message {
        "JWT expired" => "supabase key refused: it has expired",
        "JWT issued at future" | "JWT not yet valid" => {
            "supabase key refused: it is valid from a time in the future, so a clock is wrong"
        }
        _ => "supabase key refused",
    }
}

fn schema_words(table: &str, status: u16, code: Option<&str>, message: &str) -> String {
    match (code, status) {
        (Some("PGRST204" | "42703"), _) => {
            // 12.0.2 has the first form, later versions the second, Postgres itself the third.
            let column = between(message, "Column '", "' of")
                .or_else(|| between(message, "the '", "' column"))
                .or_else(|| between(message, "column \"", "\""))
                .filter(|name| is_identifier(name));
            format!(
                "table {table} has no column {}",
                column.unwrap_or("of that name")
            )
        }
        (Some("42P10"), _) => format!("table {table} has no unique key on record_hash"),
        (Some("42P01" | "PGRST205") | None, 404) => format!("table {table} is missing"),
        (None, 300..=399) => "the supabase url redirects elsewhere".to_owned(),
        (Some(code), _) => format!("table {table} does not fit ({code})"),
        (None, _) => format!("table {table} does not fit ({status})"),
    }
}

/// What Postgres itself says about a violated constraint holds names only, and is repeated when it
/// has exactly that form: a trigger may raise the same code with any text.
fn poison_words(answer: &str, message: &str) -> String {
    const FORMS: [(&str, &str, &str); 4] = [
        (
            "null value in column \"",
            "\" of relation \"",
            "a value is missing for column",
        ),
        (
            "new row for relation \"",
            "\" violates check constraint \"",
            "check constraint",
        ),
        (
            "insert or update on table \"",
            "\" violates foreign key constraint \"",
            "foreign key",
        ),
        (
            "duplicate key value violates unique constraint \"",
            "\"",
            "unique constraint",
        ),
    ];
    for (before, middle, what) in FORMS {
        let Some((first, rest)) = message
            .strip_prefix(before)
            .and_then(|m| m.split_once(middle))
        else {
            continue;
        };
        let second = rest.split('"').next().unwrap_or_default();
        let name = if middle.ends_with("constraint \"") {
            second
        } else {
            first
        };
        if is_identifier(name) {
            return format!("{what} {name}");
        }
    }
    match answer {
        _ if misfit::is_misfit(answer) => "a value does not fit its column".to_owned(),
        _ => format!("supabase answered {answer}"),
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

fn is_identifier(name: &str) -> bool {
    (1..=IDENTIFIER_MAX_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::{Class, Failure};

    fn failure(status: u16, body: &str) -> Failure {
        Failure::from_answer("agent_health", status, body.as_bytes(), &[], None)
    }

    #[test]
    fn a_body_that_is_no_json_leaves_the_class_to_the_status() {
        let gateway = failure(503, "<html>upstream connect error</html>");
        assert_eq!(
            (gateway.class, gateway.code.as_str()),
            (Class::Transient, "HTTP 503")
        );
        assert_eq!(gateway.message, "supabase answered 503");
        let postgrest = failure(
            503,
            r#"{"code":"PGRST001","message":"Database client error"}"#,
        );
        assert_eq!(postgrest.message, "supabase can't reach its database");
        assert_eq!(failure(404, "{}").message, "table agent_health is missing");
        assert_eq!(failure(401, "").message, "supabase key refused");
    }

    #[test]
    fn a_check_is_named_and_the_row_is_not_repeated() {
        let refused = failure(
            400,
            r#"{"code":"23514","details":"Failing row contains (topsecret).","hint":null,
               "message":"new row for relation \"agent_health\" violates check constraint \"cpu_sane\""}"#,
        );
        assert_eq!(refused.class, Class::Poison);
        assert_eq!(refused.code, "23514");
        assert_eq!(refused.message, "check constraint cpu_sane");
        assert!(!format!("{refused:?}").contains("topsecret"));
    }

    #[test]
    fn a_message_that_quotes_a_value_is_replaced_by_our_own() {
        let refused = failure(
            400,
            r#"{"code":"22P02","message":"invalid input syntax for type integer: \"topsecret\""}"#,
        );
        assert_eq!(refused.message, "a value does not fit its column");
        let raised = failure(
            400,
            r#"{"code":"23514","message":"topsecret is not allowed here"}"#,
        );
        assert_eq!(raised.message, "supabase answered 23514");
        let forged = failure(400, r#"{"code":"top secret value","message":"x"}"#);
        assert_eq!(forged.code, "HTTP 400");
    }

    #[test]
    fn constraints_and_columns_are_named_where_postgres_names_them() {
        let body = r#"{"code":"23502","message":"null value in column \"id\" of relation \"agent_health\" violates not-null constraint"}"#;
        assert_eq!(
            failure(400, body).message,
            "a value is missing for column id"
        );
        let body = r#"{"code":"23503","message":"insert or update on table \"agent_health\" violates foreign key constraint \"agent_fk\""}"#;
        assert_eq!(failure(409, body).message, "foreign key agent_fk");
        let body = r#"{"code":"PGRST204","message":"Could not find the 'cpu_pct' column of 'agent_health' in the schema cache"}"#;
        let missing = failure(400, body);
        assert_eq!(missing.message, "table agent_health has no column cpu_pct");
        assert!(missing.is_unfillable_column());
        let body = r#"{"code":"PGRST204","message":"Column 'cpu_pct' of relation 'agent_health' does not exist"}"#;
        assert_eq!(
            failure(400, body).message,
            "table agent_health has no column cpu_pct"
        );
        let body = r#"{"code":"42703","message":"column \"cpu_pct\" of relation \"agent_health\" does not exist"}"#;
        assert_eq!(
            failure(400, body).message,
            "table agent_health has no column cpu_pct"
        );
    }

    #[test]
    fn a_duplicate_is_ours_only_when_it_is_the_record_hash() {
        let ours = r#"{"code":"23505","details":"Key (record_hash)=(ab) already exists.","message":"duplicate key value violates unique constraint \"k\""}"#;
        assert_eq!(failure(409, ours).class, Class::Done);
        let terse = r#"{"code":"23505","message":"duplicate key value violates unique constraint \"agent_health_record_hash_key\""}"#;
        assert_eq!(failure(409, terse).class, Class::Done);
        let theirs = r#"{"code":"23505","details":"Key (agent_id)=(x) already exists.","message":"duplicate key value violates unique constraint \"agent_health_pkey\""}"#;
        let theirs = failure(409, theirs);
        assert_eq!(theirs.class, Class::Poison);
        assert_eq!(theirs.message, "unique constraint agent_health_pkey");
    }

    #[test]
    fn odd_json_does_no_harm() {
        assert_eq!(
            failure(500, r#"{"code":17,"details":{"a":1}}"#).class,
            Class::Transient
        );
        assert_eq!(
            failure(403, r#"{"code":null,"details":null}"#).class,
            Class::Auth
        );
        assert_eq!(failure(400, r#""x""#).class, Class::Suspect);
        let going = r#"{"code":"","message":"server closed the connection unexpectedly"}"#;
        assert_eq!(failure(400, going).class, Class::Suspect);
    }
}
