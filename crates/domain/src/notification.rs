//! Notifications of Microsoft Graph: what a resource path names, and which validation tokens are Microsoft's.

pub mod claims;
pub mod named;
pub mod silence;
pub mod token;
