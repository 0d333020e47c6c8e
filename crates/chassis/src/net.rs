//! Opening listeners, with an error that says which one.

use std::net::{SocketAddr, TcpListener};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}, set by {variable}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The variable that sets it.
    pub variable: String,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Listens on `address`; `variable` is where it is configured.
///
/// # Errors
/// [`BindError`] when the address is taken or not ours.
pub fn listen(address: SocketAddr, variable: &str) -> Result<tokio::net::TcpListener, BindError> {
    let listener = listen_blocking(address, variable)?;
    tokio::net::TcpListener::from_std(listener).map_err(|source| failed(address, variable, source))
}

/// The same, for use outside a runtime.
pub(crate) fn listen_blocking(address: SocketAddr, variable: &str) -> Result<TcpListener, BindError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|source| failed(address, variable, source))
}

fn failed(address: SocketAddr, variable: &str, source: std::io::Error) -> BindError {
    BindError { address, variable: variable.to_owned(), source }
}
