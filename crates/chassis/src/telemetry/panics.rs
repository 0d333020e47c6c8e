//! Panics as log lines.

use std::backtrace::Backtrace;
use std::panic;

/// Logs each panic with its place and backtrace, instead of printing it to standard error.
pub(super) fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("(no message)");
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let backtrace = Backtrace::force_capture().to_string();
        tracing::error!(
            target: "panic",
            location,
            thread = thread.name().unwrap_or("unnamed"),
            backtrace,
            "panic: {message}"
        );
    }));
}
