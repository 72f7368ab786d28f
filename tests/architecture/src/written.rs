//! The paths that an item writes: in types, expressions, patterns, calls of macros, and the names of functions in
//! attributes.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, Item, ItemUse, Macro, Path};

use crate::cfg::is_for_tests;
use crate::module::Written;

/// What was found in an item.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) paths: Vec<Written>,
    /// A `use` inside a function.
    pub(crate) imports: Vec<ItemUse>,
}

/// All that an item writes.
pub(crate) fn in_item(item: &Item) -> Found {
    let mut found = Found::default();
    found.visit_item(item);
    found
}

/// The line of an identifier, from 1.
pub(crate) fn line_of(ident: &Ident) -> usize {
    ident.span().start().line
}

/// An item's attributes.
#[expect(clippy::wildcard_enum_match_arm, reason = "syn may add kinds of items")]
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'a> Visit<'a> for Found {
    fn visit_path(&mut self, path: &'a Path) {
        self.paths.extend(written(path));
        visit::visit_path(self, path);
    }

    fn visit_item(&mut self, item: &'a Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'a ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, import: &'a ItemUse) {
        self.imports.push(import.clone());
    }

    fn visit_macro(&mut self, call: &'a Macro) {
        self.visit_path(&call.path);
        in_tokens(call.tokens.clone(), &mut self.paths);
    }

    fn visit_attribute(&mut self, attribute: &'a Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            in_strings(list.tokens.clone(), &mut self.paths);
        }
    }
}

/// Every `a::b` in the tokens. A single name is left out: it would have to be imported by a path.
fn in_tokens(tokens: TokenStream, paths: &mut Vec<Written>) {
    let mut path: Vec<Ident> = Vec::new();
    let mut colons = 0;
    let mut end = |path: &mut Vec<Ident>| {
        if let [first, _, ..] = path.as_slice() {
            paths.push(Written {
                line: line_of(first),
                path: path.iter().map(ToString::to_string).collect(),
            });
        }
        path.clear();
    };
    let mut inner = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    end(&mut path);
                }
                path.push(ident);
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                end(&mut path);
                inner.push(group.stream());
                colons = 0;
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {
                end(&mut path);
                colons = 0;
            }
        }
    }
    end(&mut path);
    for tokens in inner {
        in_tokens(tokens, paths);
    }
}

/// Every string of an attribute that is a path, as in `#[serde(with = "a::b")]`.
fn in_strings(tokens: TokenStream, paths: &mut Vec<Written>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => in_strings(group.stream(), paths),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let text = text.trim_matches('"');
                let line = literal.span().start().line;
                if let Ok(path) = syn::parse_str::<Path>(text) {
                    paths.extend(written(&path).map(|path| Written { line, ..path }));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn written(path: &Path) -> Option<Written> {
    let names = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string());
    // `::a::b` is another crate's.
    let first = path
        .segments
        .first()
        .filter(|_| path.leading_colon.is_none())?;
    Some(Written {
        path: names.collect(),
        line: line_of(&first.ident),
    })
}
