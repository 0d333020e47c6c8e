//! `/api/messages`: mail and Teams messages, and what is to be sent.

mod outbox;
mod read;
mod send;

use crate::table::{Table, routes};

/// Routes of messages.
pub fn routes<T: Table>() -> T {
    T::default()
        .routes(routes!(read::list))
        .routes(routes!(send::send))
        .routes(routes!(outbox::list))
        .routes(routes!(outbox::get))
        .routes(routes!(outbox::retry))
        .routes(routes!(outbox::cancel))
        .routes(routes!(read::get))
}
