//! Tables in Markdown.

/// A table with a line for each row.
pub(crate) fn table<const N: usize>(
    head: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = row(&head.map(str::to_owned));
    text.push_str(&row(&[(); N].map(|()| "---".to_owned())));
    for cells in rows {
        text.push_str(&row(&cells.map(|cell| escaped(&cell))));
    }
    text
}

/// A text as code, or nothing when there is none.
pub(crate) fn code(text: &str) -> String {
    match text {
        "" => String::new(),
        text => format!("`{text}`"),
    }
}

fn row(cells: &[String]) -> String {
    let line = cells.iter().map(|cell| format!(" {cell} |"));
    format!("|{}\n", line.collect::<String>())
}

/// A cell is one line, in which a bar would end it. Angle brackets outside of code would be HTML, except around a URL.
fn escaped(cell: &str) -> String {
    let line = cell.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.replace('|', "\\|");
    let parts = line.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => part.replace('<', "&lt;").replace("&lt;http", "<http"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn a_cell_is_one_line_and_can_not_end_its_table() {
        let cells = [["a\nb|c".to_owned(), "x < `<y>` <https://z>".to_owned()]];
        let expected = "| h | i |\n| --- | --- |\n| a b\\|c | x &lt; `<y>` <https://z> |\n";
        assert_eq!(table(["h", "i"], cells), expected);
    }
}
