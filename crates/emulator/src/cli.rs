//! The command line of the emulator.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{
    App, Config, DEMO_CLIENT, DEMO_GOOGLE_ACCOUNT, DEMO_GOOGLE_CLIENT, DEMO_GOOGLE_SECRET, DEMO_SECRET,
    DEMO_TENANT, DriveSpec,
};
use crate::google::{GoogleApp, Switches};
use crate::{Emulator, seed};

/// Stand-in for Microsoft (identity, Graph drives) and Google (identity, Calendar), for development, demo and tests only.
#[derive(Parser)]
#[command(name = "emulator", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Address of the Microsoft side.
    #[arg(long, default_value = "127.0.0.1:4010")]
    microsoft: SocketAddr,
    /// Address of the Google side.
    #[arg(long, default_value = "127.0.0.1:4020")]
    google: SocketAddr,
    /// OAuth client id of the application registered at Google.
    #[arg(long, default_value = DEMO_GOOGLE_CLIENT)]
    google_client_id: String,
    /// Its client secret.
    #[arg(long, default_value = DEMO_GOOGLE_SECRET)]
    google_client_secret: String,
    /// An exact redirect URI of it; may be repeated. Without one every URI is accepted.
    #[arg(long = "google-redirect-uri")]
    google_redirect_uris: Vec<String>,
    /// A Google account, with the zone of its calendar: EMAIL or EMAIL=ZONE; may be repeated.
    #[arg(long = "google-account", default_value = DEMO_GOOGLE_ACCOUNT)]
    google_accounts: Vec<String>,
    /// The consent page says yes by itself.
    #[arg(long)]
    google_auto_approve: bool,
    /// Push channels may have plain http addresses, not on loopback alone: for containers without certificates.
    #[arg(long)]
    google_plain_http_push: bool,
    /// Address of the control side.
    #[arg(long, default_value = "127.0.0.1:4030")]
    control: SocketAddr,
    /// Tenant of the registered application.
    #[arg(long, default_value = DEMO_TENANT)]
    tenant: String,
    /// Client id of the registered application.
    #[arg(long, default_value = DEMO_CLIENT)]
    client_id: String,
    /// A valid client secret; may be repeated. `expired:` before it makes it an expired one.
    #[arg(long = "client-secret", default_value = DEMO_SECRET)]
    client_secrets: Vec<String>,
    /// A drive over a real directory: ID=DIR; may be repeated.
    #[arg(long = "folder-drive")]
    folder_drives: Vec<String>,
    /// A seeded drive: ID=SEED:ITEMS; may be repeated.
    #[arg(long = "generated-drive")]
    generated_drives: Vec<String>,
    /// Where item ids of folder drives are kept over a restart.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    /// Lifetime of access tokens in seconds.
    #[arg(long, default_value_t = 3599)]
    token_lifetime: u64,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the demo tree of real files into a directory; files that exist are left alone.
    SeedFolder {
        /// The directory; created when absent.
        dir: PathBuf,
    },
}

impl Cli {
    fn config(&self) -> anyhow::Result<Config> {
        let mut drives = Vec::new();
        for text in &self.folder_drives {
            let Some((id, dir)) = text.split_once('=').filter(|(id, dir)| !id.is_empty() && !dir.is_empty())
            else {
                bail!("--folder-drive {text}: expected ID=DIR");
            };
            drives.push(DriveSpec::folder(id, dir));
        }
        for text in &self.generated_drives {
            let parsed = text.split_once('=').and_then(|(id, rest)| {
                let (seed, items) = rest.split_once(':')?;
                Some(DriveSpec::generated(id, seed.parse().ok()?, items.parse().ok()?))
            });
            let Some(spec) = parsed else { bail!("--generated-drive {text}: expected ID=SEED:ITEMS") };
            drives.push(spec);
        }
        let mut accounts = Vec::new();
        for text in &self.google_accounts {
            let (email, zone) = text.split_once('=').unwrap_or((text, "Europe/Paris"));
            if !email.contains('@') || zone.parse::<chrono_tz::Tz>().is_err() {
                bail!("--google-account {text}: expected EMAIL or EMAIL=ZONE with an IANA zone");
            }
            accounts.push((email.to_owned(), zone.to_owned()));
        }
        Ok(Config {
            microsoft: self.microsoft,
            google: self.google,
            google_apps: vec![GoogleApp {
                client_id: self.google_client_id.clone(),
                client_secret: self.google_client_secret.clone(),
                redirect_uris: self.google_redirect_uris.clone(),
            }],
            google_accounts: accounts,
            google_auto_approve: self.google_auto_approve,
            google_switches: Switches { http_push: self.google_plain_http_push, ..Switches::default() },
            control: self.control,
            apps: vec![App {
                tenant: self.tenant.clone(),
                client_id: self.client_id.clone(),
                secrets: self.client_secrets.clone(),
            }],
            drives,
            state_dir: self.state_dir.clone(),
            token_lifetime: Duration::from_secs(self.token_lifetime),
            ..Config::default()
        })
    }

    /// Does what the command line says; serving ends with SIGTERM or SIGINT.
    ///
    /// # Errors
    /// A malformed argument, a busy address, a directory that cannot be used.
    pub fn run(self) -> anyhow::Result<()> {
        tracing_subscriber::fmt()
            .with_env_filter(
                tracing_subscriber::EnvFilter::try_from_env("LOG_LEVEL")
                    .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
            )
            .with_writer(std::io::stderr)
            .init();
        if let Some(Command::SeedFolder { dir }) = &self.command {
            let written =
                seed::write(dir).with_context(|| format!("writing the demo tree to {}", dir.display()))?;
            say(&format!("{} files in {} ({} new)", written.total, dir.display(), written.new));
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let (mut terminate, mut interrupt) =
                (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let emulator = Emulator::start(self.config()?).await?;
            say(&format!(
                "emulator: microsoft http://{} google http://{} control http://{}",
                emulator.microsoft_addr(),
                emulator.google_addr(),
                emulator.control_addr()
            ));
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            emulator.stop().await;
            Ok(())
        })
    }
}

/// One line on the standard output; a reader that has gone is not a fault.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
