//! What the contract says of a route: an operation of the `OpenAPI` document, described where the route is.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::error::Code;

/// Makes a schema, and notes what it refers to.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What can happen to every request.
const ALWAYS: [Code; 9] = [
    Code::BadParameter,
    Code::MalformedRequest,
    Code::Unauthorized,
    Code::ForbiddenHost,
    Code::ForbiddenOrigin,
    Code::TargetTooLong,
    Code::HeadTooLarge,
    Code::Internal,
    Code::ShuttingDown,
];

/// One operation.
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// Whether callers without a key may ask.
    pub(super) is_open: bool,
    pub(super) parameters: Vec<Parameter>,
    /// The forms that the body may have.
    pub(super) body: Vec<Content>,
    pub(super) answers: Vec<Answer>,
    pub(super) codes: Vec<Code>,
}

/// A parameter in the path, the query or a header.
#[derive(Clone)]
pub(super) struct Parameter {
    pub(super) place: &'static str,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) is_required: bool,
    pub(super) schema: Value,
}

/// An answer that is no error.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) content: Vec<Content>,
    /// Operations that go on with what it holds.
    pub(super) links: Vec<Link>,
    /// Whether it may say that the same request was answered before.
    pub(super) may_be_replayed: bool,
}

/// An operation that goes on with an answer: its id, and from where its parameters come.
pub(super) struct Link {
    pub(super) operation: &'static str,
    pub(super) parameters: &'static [(&'static str, &'static str)],
}

/// A body in one form.
#[derive(Clone, Copy)]
pub(super) struct Content {
    pub(super) media: &'static str,
    pub(super) schema: SchemaOf,
    /// Of a body of many parts: what a line, or the data of an event, is.
    pub(super) item: Option<SchemaOf>,
}

/// A body in JSON.
pub(super) fn json_of<T: JsonSchema>() -> Content {
    Content {
        media: "application/json",
        schema: SchemaGenerator::subschema_for::<T>,
        item: None,
    }
}

/// A body of lines, each of which is JSON.
pub(super) fn lines_of<T: JsonSchema>() -> Content {
    Content {
        item: Some(SchemaGenerator::subschema_for::<T>),
        ..text("application/x-ndjson")
    }
}

/// Server-sent events, whose data is JSON.
pub(super) fn events_of<T: JsonSchema>() -> Content {
    Content {
        media: "text/event-stream",
        ..lines_of::<T>()
    }
}

/// A body of text.
pub(super) fn text(media: &'static str) -> Content {
    Content {
        media,
        schema: |_| schemars::json_schema!({"type": "string"}),
        item: None,
    }
}

/// A body of bytes.
pub(super) fn bytes() -> Content {
    Content {
        media: "application/octet-stream",
        schema: |_| schemars::json_schema!({}),
        item: None,
    }
}

impl Operation {
    /// An operation by its id, with a line on what it does.
    pub(super) fn new(id: impl Into<String>, summary: &'static str) -> Self {
        Self {
            id: id.into(),
            summary,
            description: "",
            is_open: false,
            parameters: Vec::new(),
            body: Vec::new(),
            answers: Vec::new(),
            codes: ALWAYS.into(),
        }
    }

    /// An operation that answers with JSON.
    pub(super) fn json<T: JsonSchema>(id: &'static str, summary: &'static str) -> Self {
        Self::new(id, summary).answers("the answer", [json_of::<T>()])
    }

    /// What else there is to know.
    pub(super) fn says(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }

    /// Callers without a key may ask.
    pub(super) fn open(mut self) -> Self {
        self.is_open = true;
        self.codes.retain(|code| *code != Code::Unauthorized);
        self
    }

    /// A part of the path.
    pub(super) fn path(self, name: &'static str, schema: Value, description: &'static str) -> Self {
        self.with(Parameter {
            place: "path",
            name,
            description,
            is_required: true,
            schema,
        })
    }

    /// A parameter of the query that may be left out.
    pub(super) fn query(
        self,
        name: &'static str,
        schema: Value,
        description: &'static str,
    ) -> Self {
        self.with(Parameter {
            place: "query",
            name,
            description,
            is_required: false,
            schema,
        })
    }

    /// A header that may be left out.
    pub(super) fn header(
        self,
        name: &'static str,
        schema: Value,
        description: &'static str,
    ) -> Self {
        self.with(Parameter {
            place: "header",
            name,
            description,
            is_required: false,
            schema,
        })
    }

    /// The parameters before are all needed.
    pub(super) fn all_needed(mut self) -> Self {
        for parameter in &mut self.parameters {
            parameter.is_required = true;
        }
        self
    }

    fn with(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// The forms that the body may have.
    pub(super) fn takes<const N: usize>(self, body: [Content; N]) -> Self {
        let body = body.into();
        Self { body, ..self }.refuses(&[
            Code::BodyCutShort,
            Code::MalformedJson,
            Code::BodyTimeout,
            Code::TooLarge,
            Code::UnsupportedMediaType,
        ])
    }

    /// The answer when all is well.
    pub(super) fn answers<const N: usize>(
        self,
        description: &'static str,
        content: [Content; N],
    ) -> Self {
        self.answers_with(200, description, content)
    }

    /// An answer with another status.
    pub(super) fn answers_with<const N: usize>(
        mut self,
        status: u16,
        description: &'static str,
        content: [Content; N],
    ) -> Self {
        self.answers.push(Answer {
            status,
            description,
            content: content.into(),
            links: Vec::new(),
            may_be_replayed: false,
        });
        self
    }

    /// An operation that goes on with the answers before.
    pub(super) fn leads_to(
        mut self,
        operation: &'static str,
        parameters: &'static [(&'static str, &'static str)],
    ) -> Self {
        for answer in &mut self.answers {
            answer.links.push(Link {
                operation,
                parameters,
            });
        }
        self
    }

    /// A request with the same `Idempotency-Key` gets the same answer, which says so.
    pub(super) fn idempotent(mut self) -> Self {
        for answer in &mut self.answers {
            answer.may_be_replayed = true;
        }
        let key = json!({
            "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([\\t -~]*[!-~])?$",
        });
        let says = "Makes the request safe to repeat for 24 hours: the same key with the same content gets the same answer.";
        self.header("Idempotency-Key", key, says)
            .refuses(&[Code::IdempotencyConflict, Code::StrandDamaged])
    }

    /// Errors that it answers with, besides those of every operation.
    pub(super) fn refuses(mut self, codes: &[Code]) -> Self {
        self.codes.extend(codes);
        self
    }
}
