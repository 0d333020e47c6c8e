//! Roles as extractors: a handler that takes one runs only for callers who have it.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::layer::Caller;
use super::{Claims, Role};
use crate::problem::{IntoProblem, Problem};

/// A caller who may read. 401 without a valid token.
#[derive(Debug, Clone)]
pub struct Viewer(pub Claims);

/// A caller who may start, retry and resolve. 401 without a valid token, 403 for a lower role.
#[derive(Debug, Clone)]
pub struct Operator(pub Claims);

/// A caller who may configure. 401 without a valid token, 403 for a lower role.
#[derive(Debug, Clone)]
pub struct Admin(pub Claims);

/// A caller who owns the organization. 401 without a valid token, 403 for a lower role.
#[derive(Debug, Clone)]
pub struct Owner(pub Claims);

macro_rules! extract {
    ($($name:ident),*) => {$(
        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
                caller(parts, Role::$name).map(Self)
            }
        }
    )*};
}

extract!(Viewer, Operator, Admin, Owner);

fn caller(parts: &Parts, needed: Role) -> Result<Claims, Problem> {
    let Some(Caller(outcome)) = parts.extensions.get() else {
        tracing::error!("a handler asks for a role, but KitConfig::authenticated was not called");
        return Err(Problem::defect());
    };
    let claims = outcome.clone().map_err(IntoProblem::into_problem)?;
    if claims.role < needed {
        return Err(Problem::forbidden(format!(
            "this needs the role {needed}, the token has {}",
            claims.role
        )));
    }
    Ok(claims)
}
