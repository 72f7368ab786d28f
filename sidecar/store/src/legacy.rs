//! Which records the strand goes on mirroring after its boundary, when a phase mirrors no more than that: those of legacy
//! projects. Each project has the spans of the strand in which it was on the list, so that a record's own seq says whether
//! it is mirrored, however the list has changed since. Pure.

use std::collections::BTreeMap;

use boboyka_crds::LegacyList;
use boboyka_strand::{Hash, PerType, RecordType, Seq, project_of};

/// A part of the strand, both ends included; without an end it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: Seq,
    pub(crate) last: Option<Seq>,
}

/// The spans of one project, oldest first.
pub(crate) type Spans = Vec<Span>;

/// Spans that are over and that a strand remembers at most. They go with the blocks of their seqs, and all of them with the
/// return to a phase that mirrors everything.
pub(crate) const ENDED_MAX: usize = 100_000;

/// The legacy projects since the strand's boundary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Legacy {
    /// The integration's generation that changed the list last.
    pub(crate) generation: i64,
    /// The strand's own record of that change; `None` when the strand lost it.
    pub(crate) record: Option<(Seq, Hash)>,
    /// Where records without a project are mirrored.
    pub(crate) shared: Spans,
    pub(crate) projects: BTreeMap<Box<str>, Spans>,
}

/// How the list of legacy projects stands in a strand. After the boundary nothing else is mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegacyState {
    /// The integration's generation that changed the list last.
    pub generation: i64,
    /// The seq of the strand's record of that change: from here on the list is as it is now.
    pub since: Seq,
    /// How many projects are on the list.
    pub projects: u64,
    /// Whether records without a project are mirrored.
    pub shared: bool,
    /// The last seq that may be mirrored in each lane; 0 where nothing is after the boundary, the greatest while it goes on.
    pub(crate) ends: PerType<Seq>,
}

/// A project that is on the list no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// Its name.
    pub project: String,
    /// The last seq at which it was on the list.
    pub boundary: Seq,
}

impl Legacy {
    /// The list as it comes into force with the record after `boundary`. `before` is what counted since the strand's own
    /// boundary; `None` when this is it.
    pub(crate) fn next(
        before: Option<&Self>,
        list: &LegacyList,
        boundary: Seq,
        generation: i64,
    ) -> Self {
        let mut next = before.cloned().unwrap_or_default();
        (next.generation, next.record) = (generation, None);
        for (name, spans) in &mut next.projects {
            turn(spans, list.contains(name), boundary);
        }
        for name in list.names() {
            let spans = next.projects.entry(name.as_str().into()).or_default();
            turn(spans, true, boundary);
        }
        turn(&mut next.shared, list.shared(), boundary);
        next
    }

    /// Whether this is the list, and the strand has a record of it.
    pub(crate) fn is(&self, list: &LegacyList) -> bool {
        let named = self.projects.iter().filter(|(_, spans)| is_open(spans));
        is_open(&self.shared) == list.shared()
            && (self.record.is_some() || list.is_empty() && self.projects.is_empty())
            && named
                .map(|(name, _)| &**name)
                .eq(list.names().iter().map(String::as_str))
    }

    /// Whether nothing is mirrored after the boundary, and never was.
    pub(crate) fn is_empty(&self) -> bool {
        self.projects.is_empty() && self.shared.is_empty()
    }

    /// Whether a record after the boundary is mirrored.
    pub(crate) fn wants(&self, record_type: RecordType, seq: Seq, payload: &[u8]) -> bool {
        let spans = match record_type.project() {
            // Then no payload needs to be taken apart.
            Some(_) if self.projects.is_empty() => None,
            Some(_) => project_of(record_type, payload).and_then(|name| self.projects.get(name)),
            None => record_type.table().map(|_| &self.shared),
        };
        spans.is_some_and(|spans| spans.iter().any(|span| span.holds(seq)))
    }

    /// How it stands.
    pub(crate) fn state(&self) -> LegacyState {
        let open = self.projects.values().filter(|spans| is_open(spans));
        let named = self.projects.values().map(end).max();
        let mut ends = PerType::default();
        for lane in RecordType::MIRRORED {
            ends[lane] = match lane.project() {
                Some(_) => named.unwrap_or_default(),
                None => end(&self.shared),
            };
        }
        LegacyState {
            generation: self.generation,
            since: self.record.map_or(0, |(seq, _)| seq),
            projects: open.count() as u64,
            shared: is_open(&self.shared),
            ends,
        }
    }

    /// The names on the list.
    pub(crate) fn list(&self) -> LegacyList {
        let named = self.projects.iter().filter(|(_, spans)| is_open(spans));
        LegacyList::of(
            named.map(|(name, _)| name.to_string()),
            is_open(&self.shared),
        )
    }

    /// The projects that left the list, by their names.
    pub(crate) fn departed(&self) -> impl Iterator<Item = Departed> {
        self.projects.iter().filter_map(|(name, spans)| {
            let boundary = spans.last()?.last?;
            Some(Departed {
                project: name.to_string(),
                boundary,
            })
        })
    }

    /// Spans that are over.
    pub(crate) fn ended(&self) -> usize {
        let over = |spans: &Spans| spans.iter().filter(|span| span.last.is_some()).count();
        self.projects.values().map(over).sum::<usize>() + over(&self.shared)
    }

    /// Forgets what lies below the floor.
    pub(crate) fn prune(&mut self, floor: Seq) {
        let is_left = |span: &Span| span.last.is_none_or(|last| last > floor);
        self.shared.retain(is_left);
        self.projects.retain(|_, spans| {
            spans.retain(is_left);
            !spans.is_empty()
        });
    }

    /// What its stored form takes at most.
    pub(crate) fn bytes(&self) -> usize {
        let spans = |spans: &Spans| 20 * spans.len();
        let named = self.projects.iter();
        let named: usize = named.map(|(name, of)| name.len() + 16 + spans(of)).sum();
        128 + named + spans(&self.shared)
    }
}

impl Span {
    fn holds(&self, seq: Seq) -> bool {
        self.first <= seq && self.last.is_none_or(|last| seq <= last)
    }
}

fn is_open(spans: &Spans) -> bool {
    spans.last().is_some_and(|span| span.last.is_none())
}

/// The last seq that spans may hold; 0 without any.
fn end(spans: &Spans) -> Seq {
    spans.last().map_or(0, |span| span.last.unwrap_or(Seq::MAX))
}

/// Begins a span after the boundary, or ends the one that goes on.
fn turn(spans: &mut Spans, on: bool, boundary: Seq) {
    if on == is_open(spans) {
        return;
    }
    if on {
        spans.push(Span {
            first: boundary + 1,
            last: None,
        });
    } else if let Some(span) = spans.last_mut() {
        span.last = Some(boundary);
        // A span of no block is none.
        spans.retain(|span| span.last.is_none_or(|last| span.first <= last));
    }
}

#[cfg(test)]
mod tests;
