//! Where things stand in a YAML file, for messages and for edits that keep comments. Pure; the only file that names the
//! parser.

use std::ops::Range;

use granit_parser::{Event, Marker, Options, Parser, Span, StructureStyle};

use super::wrong::Wrong;

/// A node of a document.
#[derive(Debug)]
pub(super) struct Place {
    /// The line where it begins, or where its key stands, from 1.
    pub(super) line: usize,
    /// The column of its key, from 0.
    pub(super) column: usize,
    /// Its bytes in the file.
    pub(super) bytes: Range<usize>,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    Scalar,
    /// The fields of a mapping, and whether it is written in braces.
    Mapping(Vec<(String, Place)>, bool),
    /// A list, or an alias of another node.
    Other,
}

/// The documents of a file.
///
/// # Errors
/// It is not YAML.
pub(super) fn documents(text: &str) -> Result<Vec<Place>, Wrong> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        text,
    };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (event, span) => documents.push(reader.node(&event, span)?),
        }
    }
}

impl Place {
    /// The field of a mapping.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Node::Mapping(fields, _) = &self.node else {
            return None;
        };
        let found = fields.iter().find(|(field, _)| field == name);
        found.map(|(_, place)| place)
    }

    /// The line of the field, or of the nearest field above it that is there.
    pub(super) fn line_of<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> usize {
        let mut place = self;
        for name in path {
            match place.get(name) {
                Some(inner) => place = inner,
                None => break,
            }
        }
        place.line
    }
}

struct Reader<'a, I> {
    events: I,
    text: &'a str,
}

impl<'a, I> Reader<'a, I>
where
    I: Iterator<Item = Result<(Event<'a>, Span), granit_parser::ScanError>>,
{
    fn next(&mut self) -> Result<(Event<'a>, Span), Wrong> {
        match self.events.next() {
            None => Ok((Event::StreamEnd, Span::default())),
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let why = format!("this is not YAML: {}", error.info());
                Err(Wrong::at(error.marker().line(), why))
            }
        }
    }

    fn node(&mut self, event: &Event<'a>, span: Span) -> Result<Place, Wrong> {
        let (node, end) = if let Event::MappingStart(style, ..) = event {
            let (fields, end) = self.fields()?;
            (Node::Mapping(fields, *style == StructureStyle::Flow), end)
        } else if matches!(event, Event::SequenceStart(..)) {
            (Node::Other, self.skip_list()?)
        } else if matches!(event, Event::Scalar(..)) {
            (Node::Scalar, span.end)
        } else {
            (Node::Other, span.end)
        };
        Ok(Place {
            line: span.start.line(),
            column: span.start.col(),
            bytes: self.byte(span.start)..self.byte(end),
            node,
        })
    }

    fn fields(&mut self) -> Result<(Vec<(String, Place)>, Marker), Wrong> {
        let mut fields = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok((fields, span.end));
            }
            let key = self.node(&event, span)?;
            let (of_value, span) = self.next()?;
            let mut value = self.node(&of_value, span)?;
            (value.line, value.column) = (key.line, key.column);
            if let Event::Scalar(name, ..) = event {
                fields.push((name.into_owned(), value));
            }
        }
    }

    fn skip_list(&mut self) -> Result<Marker, Wrong> {
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok(span.end);
            }
            self.node(&event, span)?;
        }
    }

    fn byte(&self, marker: Marker) -> usize {
        let counted = || {
            let found = self.text.char_indices().nth(marker.index());
            found.map_or(self.text.len(), |(byte, _)| byte)
        };
        marker.byte_offset().unwrap_or_else(counted)
    }
}
