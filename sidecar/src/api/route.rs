//! The list of routes is walked twice: once for the server, and once for the contract. So neither can have a route that the
//! other lacks.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, on};

use super::operation::Operation;
use super::state::Api;

/// What takes routes.
pub(super) trait Routes: Sized {
    /// Takes a route with its handler and what the contract says of it.
    fn on<H, T>(
        self,
        method: Method,
        path: &'static str,
        handler: H,
        operation: impl FnOnce() -> Operation,
    ) -> Self
    where
        H: Handler<T, Arc<Api>>,
        T: 'static;

    /// The same for GET.
    fn get<H, T>(
        self,
        path: &'static str,
        handler: H,
        operation: impl FnOnce() -> Operation,
    ) -> Self
    where
        H: Handler<T, Arc<Api>>,
        T: 'static,
    {
        self.on(Method::GET, path, handler, operation)
    }

    /// The same for POST.
    fn post<H, T>(
        self,
        path: &'static str,
        handler: H,
        operation: impl FnOnce() -> Operation,
    ) -> Self
    where
        H: Handler<T, Arc<Api>>,
        T: 'static,
    {
        self.on(Method::POST, path, handler, operation)
    }
}

impl Routes for Router<Arc<Api>> {
    fn on<H, T>(
        self,
        method: Method,
        path: &'static str,
        handler: H,
        _: impl FnOnce() -> Operation,
    ) -> Self
    where
        H: Handler<T, Arc<Api>>,
        T: 'static,
    {
        match MethodFilter::try_from(method) {
            Ok(method) => self.route(path, on(method, handler)),
            Err(_) => self,
        }
    }
}

/// A route as the contract has it.
pub(super) struct Described {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) operation: Operation,
}

impl Routes for Vec<Described> {
    fn on<H, T>(
        mut self,
        method: Method,
        path: &'static str,
        _: H,
        operation: impl FnOnce() -> Operation,
    ) -> Self
    where
        H: Handler<T, Arc<Api>>,
        T: 'static,
    {
        self.push(Described {
            method,
            path,
            operation: operation(),
        });
        self
    }
}
