//! Tables for people: aligned columns, the last of which may wrap. Pure.

use anstyle::{AnsiColor, Style};

/// The least room for the last column; with less, it goes to lines of its own.
const LAST_MIN: usize = 28;
/// Between two columns.
const GAP: usize = 2;
/// Before a last column on lines of its own.
const INDENT: usize = 4;

/// How a cell looks on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// As it is.
    #[default]
    Plain,
    /// Well.
    Good,
    /// Worth a look.
    Odd,
    /// Wrong.
    Bad,
    /// Of less interest.
    Faint,
}

impl Look {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Odd => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => Style::new().dimmed(),
        }
    }

    /// A text in this look, with escape sequences.
    pub(crate) fn paint(self, text: &str) -> String {
        let style = self.style();
        if style.is_plain() {
            return text.to_owned();
        }
        format!("{style}{text}{style:#}")
    }
}

/// A text with its look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    /// A text in a look. Control characters are left out, so that no object's text changes the terminal.
    pub(crate) fn new(text: &str, look: Look) -> Self {
        Self {
            text: plain(text),
            look,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text.as_ref(), Look::Plain)
    }
}

/// A text without control characters, on one line.
pub(crate) fn plain(text: &str) -> String {
    let spaced = text
        .chars()
        .map(|c| if c == '\n' || c == '\t' { ' ' } else { c });
    spaced.filter(|c| !c.is_control()).collect()
}

/// Rows below a header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    indent: usize,
}

impl Table {
    /// An empty table; without a header it has none.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self {
            header: header.to_vec(),
            ..Self::default()
        }
    }

    /// The same, with its lines moved to the right.
    pub(crate) fn indented(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The lines, each ended by a line feed; `width` is the terminal's, and nothing wraps without one.
    pub(crate) fn render(&self, width: Option<usize>) -> String {
        let header: Vec<Cell> = self.header.iter().map(Cell::from).collect();
        let header = Some(header).filter(|cells| !cells.is_empty());
        let rows: Vec<&Vec<Cell>> = header.iter().chain(&self.rows).collect();
        let widths = widths(&rows);
        if width.is_some_and(|width| self.is_too_wide(&widths, width)) {
            return self
                .rows
                .iter()
                .map(|row| self.stacked(row, width))
                .collect();
        }
        let mut text = String::new();
        for row in rows {
            self.line(row, &widths, width, &mut text);
        }
        text
    }

    /// Whether not even the short columns have room beside each other.
    fn is_too_wide(&self, widths: &[usize], width: usize) -> bool {
        let begin = self.indent + widths.iter().map(|wide| wide + GAP).sum::<usize>();
        let last = self.rows.iter().filter_map(|row| row.last());
        let last = last.map(|cell| length(&cell.text)).max().unwrap_or(0);
        !self.header.is_empty()
            && begin + last.min(LAST_MIN) > width
            && (begin > width || last <= LAST_MIN)
    }

    /// A row as a line with its first cell, and the others below it with their headers.
    fn stacked(&self, row: &[Cell], width: Option<usize>) -> String {
        let mut cells = row.iter().zip(&self.header);
        let first = cells
            .next()
            .map(|(cell, _)| cell.look.paint(&cell.text))
            .unwrap_or_default();
        let others = cells.filter(|(cell, _)| !cell.text.is_empty());
        let others: Vec<String> = others
            .map(|(cell, header)| format!("{header} {}", cell.text))
            .collect();
        let indent = " ".repeat(self.indent);
        format!(
            "{indent}{first}\n{}",
            paragraph(&others.join(", "), self.indent + INDENT, width)
        )
    }

    fn line(&self, row: &[Cell], widths: &[usize], width: Option<usize>, text: &mut String) {
        let mut line = " ".repeat(self.indent);
        let Some((last, before)) = row.split_last() else {
            return;
        };
        for (cell, wide) in before.iter().zip(widths) {
            let pad = wide - length(&cell.text) + GAP;
            line.extend([cell.look.paint(&cell.text), " ".repeat(pad)]);
        }
        let begin = self.indent
            + before
                .iter()
                .zip(widths)
                .map(|(_, wide)| wide + GAP)
                .sum::<usize>();
        let pieces = match width {
            None => vec![last.text.clone()],
            Some(width) if begin + length(&last.text) <= width => vec![last.text.clone()],
            Some(width) if begin + LAST_MIN > width => {
                let own = self.indent + INDENT;
                let pieces = wrapped(&last.text, width.saturating_sub(own).max(LAST_MIN));
                text.extend([line.trim_end(), "\n"]);
                for piece in pieces {
                    text.extend([&" ".repeat(own), &*last.look.paint(&piece), "\n"]);
                }
                return;
            }
            Some(width) => wrapped(&last.text, width - begin),
        };
        for (number, piece) in pieces.iter().enumerate() {
            let lead = if number == 0 {
                line.clone()
            } else {
                " ".repeat(begin)
            };
            let whole = lead + &last.look.paint(piece);
            text.extend([whole.trim_end(), "\n"]);
        }
    }
}

/// A paragraph that wraps at the terminal's width.
pub(crate) fn paragraph(text: &str, indent: usize, width: Option<usize>) -> String {
    let mut table = Table::new(&[]).indented(indent);
    table.row([Cell::from(text)]);
    table.render(width)
}

/// The width of every column but the last.
fn widths(rows: &[&Vec<Cell>]) -> Vec<usize> {
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let column = |at: usize| {
        let cells = rows
            .iter()
            .filter(|row| at + 1 < row.len())
            .filter_map(|row| row.get(at));
        cells.map(|cell| length(&cell.text)).max().unwrap_or(0)
    };
    (0..columns.saturating_sub(1)).map(column).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// A text in lines of at most `room` characters, where words allow it.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if length(line) + 1 + length(word) <= room => line.extend([" ", word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
