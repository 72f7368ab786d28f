use super::*;

fn table() -> Table {
    let mut table = Table::new(&["STRAND", "STATE", "WHY"]);
    let bad = |text| Cell::new(text, Look::Plain);
    table.row([
        bad("boboyka-a1"),
        bad("Silent"),
        bad("its sidecar has not reported for 5m; look at the log of the pod"),
    ]);
    table.row([bad("b"), bad("Ready"), bad("")]);
    table
}

#[test]
fn columns_are_aligned_and_the_last_one_wraps_below_itself() {
    assert_eq!(
        table().render(Some(60)),
        "STRAND      STATE   WHY\n\
         boboyka-a1  Silent  its sidecar has not reported for 5m;\n\
         \x20                   look at the log of the pod\n\
         b           Ready\n"
    );
}

#[test]
fn columns_without_room_beside_each_other_go_below_each_other() {
    let mut table = Table::new(&["INTEGRATION", "PHASE", "READY", "LAG"]);
    let name = "agents-of-the-whole-company/boboyka-production-europe";
    table.row([name, "MigrateInternals", "False", "12m"].map(Cell::from));
    assert_eq!(
        table.render(Some(80)),
        format!("{name}\n    PHASE MigrateInternals, READY False, LAG 12m\n")
    );
    assert_eq!(
        table.render(Some(90)).lines().count(),
        2,
        "{}",
        table.render(Some(90))
    );
}

#[test]
fn a_program_gets_one_line_a_row() {
    assert_eq!(table().render(None).lines().count(), 3);
}

#[test]
fn a_last_column_without_room_goes_to_lines_of_its_own() {
    assert_eq!(
        table().render(Some(40)),
        "STRAND      STATE   WHY\n\
         boboyka-a1  Silent\n\
         \x20   its sidecar has not reported for 5m;\n\
         \x20   look at the log of the pod\n\
         b           Ready\n"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_while_words_allow_it() {
    for width in 34..140 {
        for line in table().render(Some(width)).lines() {
            assert!(length(line) <= width, "{width}: {line}");
        }
    }
}

#[test]
fn a_text_with_control_characters_does_not_reach_the_terminal_as_such() {
    assert_eq!(Cell::from("a\x1b[31mb\nc\u{9b}").text, "a[31mb c");
}
