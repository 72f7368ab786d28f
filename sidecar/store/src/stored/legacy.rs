//! The legacy projects as they lie on the disk.

use boboyka_strand::{Hash, Seq};

use super::form::Stored;
use crate::legacy::{Legacy, Span, Spans};

/// First seq, last seq.
type SpansForm = Vec<(Seq, Option<Seq>)>;

fn spans_form(spans: &Spans) -> SpansForm {
    spans.iter().map(|span| (span.first, span.last)).collect()
}

fn spans_of(form: SpansForm) -> Spans {
    let spans = form.into_iter();
    spans.map(|(first, last)| Span { first, last }).collect()
}

impl Stored for Legacy {
    const NAME: &'static str = "legacy projects";
    type Form = (
        i64,
        Option<(Seq, Hash)>,
        SpansForm,
        Vec<(Box<str>, SpansForm)>,
    );

    fn to_form(&self) -> Self::Form {
        let projects = self.projects.iter();
        let projects = projects.map(|(name, spans)| (name.clone(), spans_form(spans)));
        let shared = spans_form(&self.shared);
        (self.generation, self.record, shared, projects.collect())
    }

    fn from_form((generation, record, shared, projects): Self::Form) -> Result<Self, String> {
        let projects = projects.into_iter();
        let projects = projects.map(|(name, spans)| (name, spans_of(spans)));
        Ok(Self {
            generation,
            record,
            shared: spans_of(shared),
            projects: projects.collect(),
        })
    }
}
