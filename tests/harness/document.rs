//! Documents in Markdown: the commands that tests run, and what links go by.

use std::collections::{BTreeSet, HashMap};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The commands of a document in Markdown, each with the lines that it prints.
pub fn commands(document: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        match (line.strip_prefix("$ "), line.starts_with("```")) {
            (_, true) => inside = line == "```console",
            (Some(command), _) if inside => commands.push((command.to_owned(), Vec::new())),
            _ if inside => commands.last_mut().unwrap().1.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

/// What other pages and tests go by.
#[derive(Debug, Default)]
pub struct Page {
    /// Where its links and pictures lead, as written.
    pub links: Vec<String>,
    /// The anchors of its headings.
    pub anchors: BTreeSet<String>,
    blocks: Vec<(String, String)>,
}

impl Page {
    /// Reads a document.
    pub fn of(document: &str) -> Self {
        let mut reading = Reading::default();
        for event in Parser::new_ext(document, Options::ENABLE_TABLES) {
            reading.take(event);
        }
        reading.page
    }

    /// The blocks of code in a language.
    pub fn blocks(&self, language: &str) -> impl Iterator<Item = &str> {
        let blocks = self.blocks.iter();
        let blocks = blocks.filter(move |(one, _)| one == language);
        blocks.map(|(_, text)| &**text)
    }
}

/// A document that is read as far as a heading or a block of code, perhaps into the middle of it.
#[derive(Default)]
struct Reading {
    page: Page,
    heading: Option<String>,
    block: Option<(String, String)>,
    /// How often a heading was there.
    seen: HashMap<String, usize>,
}

impl Reading {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "all other parts of a document are passed over"
    )]
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                self.page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => self.heading = Some(String::new()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                self.block = Some((language.into_string(), String::new()));
            }
            Event::Text(text) | Event::Code(text) => self.text(&text),
            Event::End(TagEnd::Heading(_)) => {
                let name = anchor(&self.heading.take().unwrap_or_default());
                let name = self.numbered(name);
                self.page.anchors.insert(name);
            }
            Event::End(TagEnd::CodeBlock) => self.page.blocks.extend(self.block.take()),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let block = self.block.as_mut().map(|(_, content)| content);
        if let Some(place) = self.heading.as_mut().or(block) {
            place.push_str(text);
        }
    }

    /// The second heading of a name gets a number.
    fn numbered(&mut self, name: String) -> String {
        let count = self.seen.entry(name.clone()).or_default();
        *count += 1;
        match *count {
            1 => name,
            many => format!("{name}-{}", many - 1),
        }
    }
}

/// The anchor of a heading, as mdBook and the hosts of repositories make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}
