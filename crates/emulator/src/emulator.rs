//! Starting and stopping an emulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::control::{self, Control};
use crate::microsoft::notify::{self, Deliveries};
use crate::server::{self, Side};
use crate::world::World;

/// Time for open connections to end.
const GRACE: Duration = Duration::from_secs(5);

/// Why an emulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is busy or not ours.
    #[error("cannot listen on {address} ({side})")]
    Listen {
        /// Which side.
        side: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A drive cannot be made.
    #[error("drive {id} cannot be opened")]
    Drive {
        /// Drive id.
        id: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A running emulator. Dropping it stops it without waiting; [`Emulator::stop`] waits.
#[derive(Debug)]
pub struct Emulator {
    world: Arc<World>,
    microsoft: SocketAddr,
    google: SocketAddr,
    control: SocketAddr,
}

async fn listen(side: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let fault = |source| StartError::Listen { side, address, source };
    let listener = TcpListener::bind(address).await.map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    Ok((listener, bound))
}

impl Emulator {
    /// Opens the drives and listens; the emulator answers when this returns.
    ///
    /// # Errors
    /// A busy address or a drive that cannot be opened.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (microsoft_listener, microsoft) = listen("microsoft", config.microsoft).await?;
        let (google_listener, google) = listen("google", config.google).await?;
        let (control_listener, control) = listen("control", config.control).await?;
        let specs = config.drives.clone();
        let world = Arc::new(World::new(config));
        for spec in specs {
            let (id, into) = (spec.id.clone(), world.clone());
            let mounted = tokio::task::spawn_blocking(move || into.mount(spec, false)).await;
            mounted
                .unwrap_or_else(|fault| Err(std::io::Error::other(fault)))
                .map_err(|source| StartError::Drive { id, source })?;
        }
        let deliveries = Arc::new(Deliveries::default());
        world.tasks.spawn(server::run(world.clone(), Side::Microsoft, microsoft_listener));
        world.tasks.spawn(server::run(world.clone(), Side::Google, google_listener));
        world.tasks.spawn(crate::google::deliver(world.clone()));
        world.tasks.spawn(notify::run(world.clone(), deliveries.clone()));
        let router = control::router(Control { world: world.clone(), deliveries });
        let stop = world.stop.clone();
        world.tasks.spawn(async move {
            let serving =
                axum::serve(control_listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(fault) = serving.await {
                tracing::error!(%fault, "the control side ended");
            }
        });
        Ok(Self { world, microsoft, google, control })
    }

    /// Where identity and Graph are.
    pub fn microsoft_addr(&self) -> SocketAddr {
        self.microsoft
    }

    /// Where Google's identity and Calendar are; also the page to see and edit calendars by hand.
    pub fn google_addr(&self) -> SocketAddr {
        self.google
    }

    /// Value for `GOOGLE_CALENDAR_BASE_URL`.
    pub fn google_calendar_base_url(&self) -> String {
        format!("http://{}/calendar/v3", self.google)
    }

    /// Where the control side is.
    pub fn control_addr(&self) -> SocketAddr {
        self.control
    }

    /// Value for `MICROSOFT_LOGIN_BASE_URL`.
    pub fn login_base_url(&self) -> String {
        format!("http://{}", self.microsoft)
    }

    /// Value for `GRAPH_BASE_URL`.
    pub fn graph_base_url(&self) -> String {
        format!("http://{}/v1.0", self.microsoft)
    }

    /// Base of the control calls.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// A good access token of the first registered application, without a request.
    pub fn mint_token(&self) -> String {
        let account = self.world.config.apps.first().map_or("", |app| app.client_id.as_str());
        self.world.identity.mint(account, self.world.clock.now(), true).0
    }

    /// A good refresh token of the first Google account for the first registered application, without a request;
    /// empty when there is neither.
    pub fn mint_google_refresh_token(&self) -> String {
        let asked = crate::google::Mint { account: None, client_id: None, scopes: None };
        let minted = crate::google::mint(&self.world, asked).unwrap_or_default();
        minted["refresh_token"].as_str().unwrap_or_default().to_owned()
    }

    /// Stops listening and waits for open connections, a few seconds at most.
    pub async fn stop(self) {
        self.world.stop.cancel();
        self.world.tasks.close();
        if tokio::time::timeout(GRACE, self.world.tasks.wait()).await.is_err() {
            tracing::warn!("connections were still open when the emulator stopped");
        }
        // Watches join their threads; that must not hold up the runtime.
        let world = self.world.clone();
        let _ = tokio::task::spawn_blocking(move || {
            for mounted in world.mounted() {
                world.unmount(&mounted.spec.id);
            }
        })
        .await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.world.stop.cancel();
    }
}
