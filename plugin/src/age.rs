//! Ages as kubectl writes them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// The seconds between a time and now; 0 for a time ahead.
pub(crate) fn seconds(since: &Time, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(since.0.as_second()).max(0)
}

/// Seconds as one figure with a unit, rounded down.
pub(crate) fn short(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_one_figure_with_a_unit() {
        let written = [0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(short);
        assert_eq!(written, ["0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }
}
