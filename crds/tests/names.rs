//! Names that the operator, the sidecar and stored objects share: none may change unnoticed.

use boboyka_crds::{Phase, names};

#[test]
fn a_phase_is_called_in_rust_as_in_a_resource() {
    for phase in [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver] {
        let written = serde_json::to_value(phase).unwrap();
        assert_eq!(written, phase.as_str());
        assert_eq!(phase.to_string(), phase.as_str());
    }
    assert_eq!(Phase::DualWrite.as_str(), "DualWrite");
}

#[test]
fn only_dual_write_mirrors() {
    let mirroring = [Phase::DualWrite, Phase::MigrateInternals, Phase::CutOver].map(Phase::mirrors);
    assert_eq!(mirroring, [true, false, false]);
}

#[test]
fn a_strands_claim_bears_its_name() {
    assert_eq!(names::claim_of("boboyka-0"), "boboyka-strand-boboyka-0");
}
