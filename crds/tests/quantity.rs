//! Every unit that a resource may bear.

use std::time::Duration;

use boboyka_crds::quantity::{bytes, duration};

#[test]
fn every_unit_of_size_is_a_power_of_1000_or_of_1024() {
    for (power, decimal) in (0..).zip(["", "k", "M", "G", "T", "P"]) {
        let size = 3 * 1000_u64.pow(power);
        assert_eq!(bytes(&format!("3{decimal}")), Some(size), "{decimal}");
    }
    for (power, binary) in (1..).zip(["Ki", "Mi", "Gi", "Ti", "Pi"]) {
        let size = 3 * 1024_u64.pow(power);
        assert_eq!(bytes(&format!("3{binary}")), Some(size), "{binary}");
    }
}

#[test]
fn every_unit_of_time_adds_to_the_others() {
    let time = Duration::from_hours(1) + Duration::from_mins(2) + Duration::from_millis(3_004);
    assert_eq!(duration("1h2m3s4ms"), Some(time));
}
