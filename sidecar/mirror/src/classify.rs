//! What an answer of Supabase means for a batch. `PostgREST`'s `code` decides first, because codes are
//! stable between versions; the status decides where the code says nothing or is missing (12.0.2
//! answers an unknown table with `{}`). Pure; the classes' consequences are in `disposition`.

use enum_map::Enum;

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Enum)]
pub enum Class {
    /// The row is in the table.
    Done,
    /// Nothing is wrong with the batch; later it will work.
    Transient,
    /// The key or its grants are refused, or a gateway refuses the request.
    Auth,
    /// The table, a column or the unique key is not what the batch needs.
    Schema,
    /// The batch is too large.
    Size,
    /// The database gave up after a while: the batch may be too large, or a lock in its way.
    TimedOut,
    /// A row will never be accepted.
    Poison,
    /// Something refuses the request, and it is not clear whether for what a row holds.
    Suspect,
    /// A row refers to one that is not there, or not there yet.
    Dependency,
    /// The project takes no writes for now (over its quota, or a replica).
    ReadOnly,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Transient,
        Self::Auth,
        Self::Schema,
        Self::Size,
        Self::TimedOut,
        Self::Poison,
        Self::Suspect,
        Self::Dependency,
        Self::ReadOnly,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Transient => "transient",
            Self::Auth => "auth",
            Self::Schema => "schema",
            Self::Size => "size",
            Self::TimedOut => "timed_out",
            Self::Poison => "poison",
            Self::Suspect => "suspect",
            Self::Dependency => "dependency",
            Self::ReadOnly => "read_only",
        }
    }
}

/// An answer, reduced to what decides its class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// `code` of the JSON body, when there is one.
    pub code: Option<&'a str>,
    /// `message` of the JSON body; only looked at where the same code stands for two things.
    pub message: &'a str,
    /// Whether a violated unique key is the one on `record_hash`.
    pub on_record_hash: bool,
}

/// The class of an answer.
pub(crate) fn classify(answer: &Answer<'_>) -> Class {
    if (200..300).contains(&answer.status) {
        return Class::Done;
    }
    answer
        .code
        .and_then(|code| by_code(code, answer))
        .unwrap_or_else(|| by_status(answer))
}

/// What the code alone says; `None` leaves it to the status.
fn by_code(code: &str, answer: &Answer<'_>) -> Option<Class> {
    if let Some(number) = code.strip_prefix("PGRST") {
        return by_postgrest_code(number);
    }
    Some(match code {
        "23505" if answer.on_record_hash => Class::Done,
        "23503" => Class::Dependency,
        "25006" => Class::ReadOnly,
        "42501" => Class::Auth,
        "57014" | "55P03" => Class::TimedOut,
        // PostgREST's word for a JWT whose role is unknown; else a function's bad argument.
        "22023" if answer.message.contains("role") && answer.message.contains("does not exist") => {
            Class::Auth
        }
        // A view without a trigger, a deferrable key as conflict target; a partition without its key.
        "55000" | "0A000" => Class::Schema,
        _ => return by_sqlstate_class(code),
    })
}

/// By the first two characters of an SQLSTATE, which name a family of errors.
fn by_sqlstate_class(code: &str) -> Option<Class> {
    if !is_sqlstate(code) {
        return None;
    }
    Some(match code.get(..2)? {
        "08" | "40" | "53" | "57" | "58" => Class::Transient,
        // About the statement and the table, never about a row.
        "3F" | "42" => Class::Schema,
        // Values, constraints, and what a trigger on the table throws.
        "09" | "21" | "22" | "23" | "27" | "38" | "39" | "44" | "P0" => Class::Poison,
        // A fault of the server's own, or what a trigger throws for one row.
        "XX" => Class::Suspect,
        _ => return None,
    })
}

fn by_postgrest_code(number: &str) -> Option<Class> {
    match number {
        "000" | "001" | "002" | "003" => Some(Class::Transient),
        "102" => Some(Class::Poison),
        "106" => Some(Class::Schema),
        _ if number.starts_with('2') => Some(Class::Schema),
        _ if number.starts_with('3') => Some(Class::Auth),
        _ => None,
    }
}

fn by_status(answer: &Answer<'_>) -> Class {
    match answer.status {
        // A redirect means that the configured address is not the one that serves the tables.
        300..=399 | 404 => Class::Schema,
        401 | 403 => Class::Auth,
        // Supabase restricts a project that is over its quota.
        402 => Class::ReadOnly,
        413 => Class::Size,
        // 420 is what a rate limit in `db_pre_request` may answer.
        408 | 420 | 429 => Class::Transient,
        // With a code, PostgREST or a trigger spoke about the rows. Without, a gateway refused the
        // request, or Postgres went away in the middle of it (12.0.2 answers 400 then).
        400..=499 if answer.code.is_some_and(|code| !code.is_empty()) => Class::Poison,
        400..=499 => Class::Suspect,
        // A state that no family above stands for, such as one that a trigger made up.
        500 if answer.code.is_some_and(is_sqlstate) => Class::Suspect,
        _ => Class::Transient,
    }
}

/// Whether the answer with this code was about a row and stays the same whenever the row is sent: what
/// makes a dead letter. Other refused rows are sent again by themselves.
pub(crate) fn is_final(code: &str) -> bool {
    match code {
        "HTTP 413" | "54000" | "PGRST102" | NOT_KEPT => true,
        "23503" => false,
        _ if !is_sqlstate(code) => false,
        _ => !matches!(
            code.get(..2),
            Some("08" | "25" | "28" | "3F" | "40" | "42" | "53" | "55" | "57" | "58" | "XX")
        ),
    }
}

fn is_sqlstate(code: &str) -> bool {
    code.len() == 5
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// The code of a row that the table accepted and did not keep, as a trigger can have it.
pub(crate) const NOT_KEPT: &str = "not_kept";

#[cfg(test)]
mod tests {
    use super::{Answer, Class, classify, is_final};

    fn class(status: u16, code: &str) -> Class {
        let code = if code.is_empty() { None } else { Some(code) };
        classify(&Answer {
            status,
            code,
            ..Answer::default()
        })
    }

    #[track_caller]
    fn all(expected: Class, answers: &[(u16, &str)]) {
        for (status, code) in answers {
            assert_eq!(class(*status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn success_is_done_and_so_is_a_duplicate_of_our_own_hash() {
        all(Class::Done, &[(200, ""), (201, ""), (204, "")]);
        let ours = Answer {
            status: 409,
            code: Some("23505"),
            on_record_hash: true,
            ..Answer::default()
        };
        assert_eq!(classify(&ours), Class::Done);
    }

    #[test]
    fn a_duplicate_of_another_key_is_poison() {
        all(Class::Poison, &[(409, "23505")]);
    }

    #[test]
    fn overload_and_outages_are_transient() {
        all(
            Class::Transient,
            &[
                (408, ""),
                (420, ""),
                (429, ""),
                (429, "over_quota"),
                (502, ""),
                (503, ""),
                (504, ""),
            ],
        );
        all(
            Class::Transient,
            &[
                (520, ""),
                (521, ""),
                (522, ""),
                (523, ""),
                (524, ""),
                (540, ""),
            ],
        );
    }

    #[test]
    fn a_500_without_a_code_or_with_a_passing_trouble_is_transient() {
        all(
            Class::Transient,
            &[(500, ""), (500, "40001"), (500, "40P01"), (500, "57P01")],
        );
        all(Class::Transient, &[(503, "57P03"), (500, "58030")]);
    }

    #[test]
    fn postgrest_without_its_database_is_transient() {
        all(
            Class::Transient,
            &[
                (503, "PGRST000"),
                (503, "PGRST001"),
                (503, "PGRST002"),
                (504, "PGRST003"),
            ],
        );
        all(
            Class::Transient,
            &[
                (503, "08006"),
                (503, "53300"),
                (500, "53100"),
                (400, "53400"),
            ],
        );
    }

    #[test]
    fn a_refused_key_or_grant_is_auth() {
        all(
            Class::Auth,
            &[
                (401, ""),
                (401, "PGRST301"),
                (401, "PGRST302"),
                (401, "PGRST303"),
            ],
        );
        all(
            Class::Auth,
            &[(403, ""), (403, "42501"), (401, "42501"), (500, "PGRST300")],
        );
    }

    #[test]
    fn an_unknown_role_is_auth_but_another_bad_parameter_is_poison() {
        for status in [400, 401] {
            let message = "role \"service\" does not exist";
            let unknown = Answer {
                status,
                code: Some("22023"),
                message,
                ..Answer::default()
            };
            assert_eq!(classify(&unknown), Class::Auth);
        }
        all(Class::Poison, &[(400, "22023")]);
    }

    #[test]
    fn a_missing_table_column_or_key_is_schema() {
        all(
            Class::Schema,
            &[
                (404, ""),
                (404, "42P01"),
                (404, "PGRST205"),
                (400, "PGRST204"),
            ],
        );
        all(
            Class::Schema,
            &[
                (400, "42703"),
                (400, "42P10"),
                (406, "PGRST106"),
                (404, "PGRST125"),
            ],
        );
    }

    #[test]
    fn what_speaks_of_the_statement_not_of_a_row_is_schema() {
        all(
            Class::Schema,
            &[
                (404, "42883"),
                (400, "42804"),
                (500, "42P17"),
                (400, "3F000"),
            ],
        );
        all(
            Class::Schema,
            &[(500, "55000"), (400, "0A000"), (301, ""), (308, "")],
        );
    }

    #[test]
    fn too_large_or_too_slow_is_size() {
        all(Class::Size, &[(413, ""), (413, "54000")]);
    }

    #[test]
    fn bad_values_and_violated_checks_are_poison_whatever_the_status() {
        all(
            Class::Poison,
            &[
                (400, "22P05"),
                (400, "22P02"),
                (400, "22003"),
                (400, "23502"),
            ],
        );
        all(
            Class::Poison,
            &[
                (400, "23514"),
                (400, "21000"),
                (500, "21000"),
                (500, "23514"),
            ],
        );
        all(
            Class::Poison,
            &[(400, "P0001"), (500, "P0004"), (400, "PGRST102")],
        );
        all(Class::Poison, &[(400, "unheard"), (422, "PT422")]);
    }

    #[test]
    fn a_missing_neighbour_is_a_dependency() {
        all(Class::Dependency, &[(409, "23503"), (500, "23503")]);
    }

    #[test]
    fn a_project_that_takes_no_writes_is_read_only() {
        all(
            Class::ReadOnly,
            &[(405, "25006"), (500, "25006"), (402, "")],
        );
    }

    #[test]
    fn a_lock_that_lasts_is_no_matter_of_size() {
        all(
            Class::TimedOut,
            &[(500, "57014"), (504, "57014"), (500, "55P03")],
        );
    }

    #[test]
    fn what_may_be_the_text_of_a_row_or_not_is_suspect() {
        all(
            Class::Suspect,
            &[
                (400, ""),
                (405, ""),
                (406, ""),
                (410, ""),
                (418, ""),
                (451, ""),
            ],
        );
        all(
            Class::Suspect,
            &[(500, "XX000"), (500, "25P02"), (500, "HV000")],
        );
    }

    #[test]
    fn only_an_answer_about_the_row_itself_is_final() {
        for code in [
            "22P02", "23505", "23514", "P0001", "AB123", "PT422", "54000", "HTTP 413",
        ] {
            assert!(is_final(code), "{code}");
        }
        for code in [
            "23503",
            "57014",
            "55P03",
            "XX000",
            "42501",
            "40001",
            "53300",
            "HTTP 403",
            "HTTP 400",
            "PGRST301",
            "timeout",
            "reset",
            "not_postgrest",
        ] {
            assert!(!is_final(code), "{code}");
        }
    }
}
