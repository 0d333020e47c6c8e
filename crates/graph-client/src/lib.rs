//! Microsoft Graph v1.0 as this system reads it: lenient models, classified errors, drives and subscriptions.
//!
//! Everything goes through [`outbound::provider::ProviderClient`], which keeps the provider's rules. Links of the
//! provider are opaque, but a bearer token only ever goes to the configured host.

mod batch;
mod calendar;
mod client;
mod drives;
mod error;
mod items;
mod link;
mod mail;
mod page;
mod probe;
mod subscriptions;
mod teams;
mod timestamp;
mod workflow;

pub use batch::{BatchOutcome, BatchRequest, MAX_BATCH};
pub use client::GraphClient;
pub use drives::{DeltaCursor, DeltaPage, DriveInfo, FolderRef, ItemPage, ItemRef, NextLink};
pub use error::{ErrorBody, GraphError, GraphErrorKind, Support, parse_error};
pub use items::{Item, ItemPageBody, PoisonItem, read_item, read_page};
pub use mail::{
    Attachment, Draft, MAX_DIRECT_ATTACHMENT, MailAddress, MailFolder, MailMessage, MailSelection, Mailbox,
    NewAttachment, NewDraft, Outgoing, OutgoingState, UPLOAD_SLICE, UploadSession, Window, read_folder,
    read_message,
};
pub use page::{ChangePage, ListPage};
pub use subscriptions::{Certificate, NewSubscription, Subscription};
pub use teams::{
    Channel, ChannelPage, Chat, MAX_TEAMS_PAGE, Team, TeamsMessage, TeamsPlace, read_teams_message,
};
pub use timestamp::parse_timestamp;
pub use workflow::{MAX_CARD, WorkflowHosts};
