//! One list of routes, read in two ways: the running service takes the handlers alone, the description all that is said
//! of them. Schemas and prose are a tenth of the program otherwise, and stay in its memory.

use axum::Router;
use axum::routing::MethodRouter;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::state::ApiState;

/// The handlers of one path, twice. What a table does not ask for is not compiled into the program.
pub struct Route<D, S> {
    pub described: D,
    pub served: S,
}

/// What reads the list.
pub trait Table: Sized + Default {
    /// Adds the handlers of one path.
    fn routes<D, S>(self, route: Route<D, S>) -> Self
    where
        D: FnOnce() -> UtoipaMethodRouter<ApiState>,
        S: FnOnce() -> (String, MethodRouter<ApiState>);

    /// Adds another list.
    fn merge(self, other: Self) -> Self;
}

/// The running service's.
impl Table for Router<ApiState> {
    fn routes<D, S>(self, route: Route<D, S>) -> Self
    where
        D: FnOnce() -> UtoipaMethodRouter<ApiState>,
        S: FnOnce() -> (String, MethodRouter<ApiState>),
    {
        let (path, handlers) = (route.served)();
        self.route(&path, handlers)
    }

    fn merge(self, other: Self) -> Self {
        Router::merge(self, other)
    }
}

/// The description's.
impl Table for OpenApiRouter<ApiState> {
    fn routes<D, S>(self, route: Route<D, S>) -> Self
    where
        D: FnOnce() -> UtoipaMethodRouter<ApiState>,
        S: FnOnce() -> (String, MethodRouter<ApiState>),
    {
        OpenApiRouter::routes(self, (route.described)())
    }

    fn merge(self, other: Self) -> Self {
        OpenApiRouter::merge(self, other)
    }
}

/// `routes!(list, create)`: handlers of one path, each with `#[utoipa::path]`.
macro_rules! routes {
    ($($first:ident)::+ $(, $($more:ident)::+)* $(,)?) => {
        $crate::table::Route {
            described: || utoipa_axum::routes!($($first)::+ $(, $($more)::+)*),
            served: || {
                let handlers = axum::routing::MethodRouter::new();
                let handlers = $crate::table::on!(handlers, $($first)::+);
                $( let handlers = $crate::table::on!(handlers, $($more)::+); )*
                ($crate::table::said_of!(path of $($first)::+), handlers)
            },
        }
    };
}

/// Adds a handler for its methods.
macro_rules! on {
    ($handlers:ident, $($handler:ident)::+) => {
        $crate::table::said_of!(methods of $($handler)::+).iter().fold($handlers, |handlers, method| {
            handlers.on(utoipa_axum::PathItemExt::to_method_filter(method), $($handler)::+)
        })
    };
}

/// What `#[utoipa::path]` noted beside a handler.
macro_rules! said_of {
    ($what:ident of $handler:ident) => {
        pastey::paste! { <[<__path_ $handler>] as utoipa::Path>::$what() }
    };
    ($what:ident of $module:ident :: $handler:ident) => {
        pastey::paste! { <$module::[<__path_ $handler>] as utoipa::Path>::$what() }
    };
    ($what:ident of $outer:ident :: $module:ident :: $handler:ident) => {
        pastey::paste! { <$outer::$module::[<__path_ $handler>] as utoipa::Path>::$what() }
    };
}

pub(crate) use {on, routes, said_of};
