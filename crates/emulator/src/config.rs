//! What an emulator is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::time::SharedClock;
use serde::{Deserialize, Serialize};

use crate::google::{GoogleApp, Switches};

/// Tenant of the demo application.
pub const DEMO_TENANT: &str = "5a1e0000-0000-4000-8000-000000000001";
/// Client id of the demo application.
pub const DEMO_CLIENT: &str = "5a1e0000-0000-4000-8000-000000000002";
/// Client secret of the demo application; it opens nothing but an emulator.
pub const DEMO_SECRET: &str = "demo-secret";

/// OAuth client id of the demo application at Google.
pub const DEMO_GOOGLE_CLIENT: &str = "syncline-demo.apps.googleusercontent.com";
/// OAuth client secret of the demo application; it opens nothing but an emulator.
pub const DEMO_GOOGLE_SECRET: &str = "demo-google-secret";
/// Account of the demo at Google.
pub const DEMO_GOOGLE_ACCOUNT: &str = "demo@example.org";

/// An application registered with the stand-in for Microsoft identity.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Tenant (directory) id.
    pub tenant: String,
    /// Application (client) id.
    pub client_id: String,
    /// Secrets, all valid at once; the prefix `expired:` makes one that is refused with AADSTS7000222.
    pub secrets: Vec<String>,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("tenant", &self.tenant)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl App {
    /// The application that the demo uses.
    pub fn demo() -> Self {
        Self { tenant: DEMO_TENANT.into(), client_id: DEMO_CLIENT.into(), secrets: vec![DEMO_SECRET.into()] }
    }
}

/// Business (SharePoint behind) or Personal: they differ in what delta leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DriveType {
    /// OneDrive for Business and SharePoint libraries.
    #[default]
    Business,
    /// OneDrive Personal.
    Personal,
}

/// The spelling of changing links (driveItem-delta pages show them all).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkStyle {
    /// Another spelling at every page.
    #[default]
    Rotate,
    /// `/drives/{id}/root/delta?token=…`
    Query,
    /// `/drives/{id}/root/delta(token='…')`
    Function,
    /// `/drives/{id}/root/delta?(token='…')`
    QueryFunction,
    /// `/drives('{id}')/items('{id}')/microsoft.graph.delta(token='…')`
    Namespaced,
}

/// How one drive behaves; the defaults are what is observed of a Business drive.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of observed behaviours")]
pub struct DriveOptions {
    /// Business or personal.
    pub drive_type: DriveType,
    /// Display name of the drive.
    pub name: String,
    /// The user whose `/users/{user}/drive` this is.
    pub owner: Option<String>,
    /// The site whose document library this is.
    pub site: Option<String>,
    /// Spelling of the links.
    pub link_style: LinkStyle,
    /// Report children before their parents now and then.
    pub shuffle: bool,
    /// Report an item once per change within a round, not once.
    pub repeats: bool,
    /// Put deletion markers before everything else of an incremental round.
    pub deletes_first: bool,
    /// Give files below a deleted folder entries of their own (nested folders always have them).
    pub deleted_files: bool,
    /// During a full enumeration, never report deletions (graph-docs-contrib 8794).
    pub lose_deletes_in_full_round: bool,
    /// Insert an empty page with a nextLink before every nth page; 0 for never.
    pub empty_page_every: u32,
    /// Send `parentReference.path` in delta, which is documented as absent and observed as present.
    pub path_in_delta: bool,
    /// Send `@microsoft.graph.downloadUrl` in delta when no `$select` is given.
    pub download_url_in_delta: bool,
    /// Seconds for which a pre-authenticated URL is good.
    pub download_url_seconds: i64,
    /// Refuse subscriptions on this drive with 403.
    pub deny_subscriptions: bool,
}

impl Default for DriveOptions {
    fn default() -> Self {
        Self {
            drive_type: DriveType::Business,
            name: "Documents".into(),
            owner: None,
            site: None,
            link_style: LinkStyle::Rotate,
            shuffle: false,
            repeats: false,
            deletes_first: true,
            deleted_files: false,
            lose_deletes_in_full_round: false,
            empty_page_every: 0,
            path_in_delta: true,
            download_url_in_delta: true,
            download_url_seconds: 3600,
            deny_subscriptions: false,
        }
    }
}

/// Where the items of a drive come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DriveKind {
    /// A real directory, watched.
    Folder {
        /// The directory; created when absent.
        dir: PathBuf,
    },
    /// A world made from a seed.
    Generated {
        /// The same seed gives the same items.
        seed: u64,
        /// Number of items, the root not counted (0 to 5,000,000).
        items: u32,
    },
}

/// One drive to start with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DriveSpec {
    /// Drive id, as it appears in URLs.
    pub id: String,
    /// Source of the items.
    #[serde(flatten)]
    pub kind: DriveKind,
    /// Behaviour.
    #[serde(default)]
    pub options: DriveOptions,
}

impl DriveSpec {
    /// A drive over a real directory.
    pub fn folder(id: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self { id: id.into(), kind: DriveKind::Folder { dir: dir.into() }, options: DriveOptions::default() }
    }

    /// A seeded drive of `items` items.
    pub fn generated(id: impl Into<String>, seed: u64, items: u32) -> Self {
        Self { id: id.into(), kind: DriveKind::Generated { seed, items }, options: DriveOptions::default() }
    }
}

/// Everything an emulator is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the Microsoft side (identity and Graph); port 0 takes a free one.
    pub microsoft: SocketAddr,
    /// Address of the Google side (identity and Calendar); port 0 takes a free one.
    pub google: SocketAddr,
    /// Address of the control side; port 0 takes a free one.
    pub control: SocketAddr,
    /// Registered applications.
    pub apps: Vec<App>,
    /// Applications registered at Google.
    pub google_apps: Vec<GoogleApp>,
    /// Accounts at Google to start with, each with the zone of its primary calendar.
    pub google_accounts: Vec<(String, String)>,
    /// Behaviours of Calendar that nobody has verified.
    pub google_switches: Switches,
    /// The same seed gives the same ids of events.
    pub google_seed: u64,
    /// The consent page says yes by itself.
    pub google_auto_approve: bool,
    /// Drives to start with.
    pub drives: Vec<DriveSpec>,
    /// Where item ids of folder drives are kept over a restart; without it a restart gives new ids.
    pub state_dir: Option<PathBuf>,
    /// Lifetime of access tokens.
    pub token_lifetime: Duration,
    /// How long a notification is retried before it is discarded (Graph: 4 hours).
    pub notification_patience: Duration,
    /// Source of time; `POST /clock` adds to it.
    pub clock: SharedClock,
}

impl Default for Config {
    /// Free loopback ports, the demo applications, one Google account, no drives.
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            microsoft: loopback,
            google: loopback,
            control: loopback,
            apps: vec![App::demo()],
            google_apps: vec![GoogleApp {
                client_id: DEMO_GOOGLE_CLIENT.into(),
                client_secret: DEMO_GOOGLE_SECRET.into(),
                redirect_uris: Vec::new(),
            }],
            google_accounts: vec![(DEMO_GOOGLE_ACCOUNT.into(), "Europe/Paris".into())],
            google_switches: Switches::default(),
            google_seed: 1,
            google_auto_approve: false,
            drives: Vec::new(),
            state_dir: None,
            token_lifetime: Duration::from_secs(3599),
            notification_patience: Duration::from_mins(10),
            clock: Arc::new(chassis::time::SystemClock),
        }
    }
}
