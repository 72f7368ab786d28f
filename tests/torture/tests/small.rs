//! The small size of the torture.

use std::path::Path;

use boboyka_torture::Tools;
use boboyka_torture::tamper::{tamper, tamper_disk};
use boboyka_torture::torture::{Size, Torture};

#[test]
fn every_tampering_that_somebody_can_tell_is_told_and_nothing_else_is() {
    let table = tamper(900, 1);
    assert_eq!(table.count(), 900);
    assert_eq!((table.missed(), table.alarms()), (0, 0), "\n{table}");
}

#[test]
fn a_folder_that_was_tampered_with_does_not_verify_or_is_not_what_was_cosigned() {
    let driver = Path::new(env!("CARGO_BIN_EXE_torture")).to_owned();
    let table = tamper_disk(&Tools::new(driver).unwrap(), 32, 1).unwrap();
    assert_eq!((table.missed(), table.alarms()), (0, 0), "\n{table}");
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_called_damage_that_is_none() {
    let driver = Path::new(env!("CARGO_BIN_EXE_torture")).to_owned();
    let tools = Tools::new(driver).unwrap();
    let mut torture = Torture::new(&tools, 1, Size::SMALL);
    torture.run(None).await.unwrap();
    let table = torture.table;
    assert!(table.states() > 80, "{table}");
    assert_eq!(table.failures(), 0, "\n{table}");
}
