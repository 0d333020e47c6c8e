//! Everything the handlers share.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::ShiftedClock;
use crate::config::{Config, DriveKind, DriveSpec};
use crate::faults::Faults;
use crate::google;
use crate::ledger::Ledger;
use crate::microsoft::drive::DriveHandle;
use crate::microsoft::errors::GraphError;
use crate::microsoft::folder::{self, Watch};
use crate::microsoft::generated;
use crate::microsoft::identity::Identity;
use crate::microsoft::office;
use crate::microsoft::rich::Signing;
use crate::microsoft::subscriptions::Subscriptions;
use crate::microsoft::target::DriveRef;
use crate::microsoft::upload::Uploads;

/// Drives that changed since notifications were last sent.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    drives: Mutex<HashSet<String>>,
    pub(crate) bell: Notify,
}

impl Dirty {
    pub(crate) fn mark(&self, drive: &str) {
        self.drives.lock().unwrap_or_else(PoisonError::into_inner).insert(drive.to_owned());
        self.bell.notify_one();
    }

    pub(crate) fn take(&self) -> HashSet<String> {
        std::mem::take(&mut *self.drives.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A drive and what keeps it up to date.
#[derive(Debug, Clone)]
pub(crate) struct Mounted {
    pub(crate) spec: DriveSpec,
    pub(crate) handle: Arc<DriveHandle>,
    pub(crate) watch: Option<Arc<Watch>>,
    /// Made through the control port: gone after a reset.
    pub(crate) transient: bool,
}

/// The whole state of an emulator.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) clock: Arc<ShiftedClock>,
    pub(crate) identity: Identity,
    pub(crate) google: google::Service,
    pub(crate) office: office::Service,
    pub(crate) signing: Signing,
    pub(crate) faults: Faults,
    pub(crate) ledger: Ledger,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) uploads: Uploads,
    pub(crate) dirty: Arc<Dirty>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    drives: RwLock<BTreeMap<String, Mounted>>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let lifetime = config.token_lifetime.as_secs() as i64;
        let clock = Arc::new(ShiftedClock::new(config.clock.clone()));
        Self {
            office: office::Service::new(clock.now_ms()),
            signing: Signing::default(),
            clock,
            identity: Identity::new(&config.apps, lifetime),
            google: google::Service::new(&config),
            config,
            faults: Faults::default(),
            ledger: Ledger::default(),
            subscriptions: Subscriptions::default(),
            uploads: Uploads::default(),
            dirty: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            drives: RwLock::default(),
        }
    }

    /// Builds a drive and puts it in its place; blocks for as long as its items take to make.
    pub(crate) fn mount(&self, spec: DriveSpec, transient: bool) -> std::io::Result<()> {
        let now = self.clock.now_ms();
        let (handle, watch) = match &spec.kind {
            DriveKind::Generated { seed, items } => {
                let mut drive = generated::build(&spec.id, *seed, *items, spec.options.clone(), now);
                // The same ids in every life, but not the same tokens: the changes of the last life are lost.
                drive.token_epoch = u32::from_le_bytes(chassis::ids::random_bytes());
                (DriveHandle::new(drive), None)
            }
            DriveKind::Folder { dir } => {
                let (handle, watch) = folder::mount(
                    &spec,
                    dir,
                    self.config.state_dir.as_deref(),
                    now,
                    &self.dirty,
                    &self.clock,
                )?;
                (handle, Some(Arc::new(watch)))
            }
        };
        let id = spec.id.clone();
        let mounted = Mounted { spec, handle, watch, transient };
        self.drives.write().unwrap_or_else(PoisonError::into_inner).insert(id, mounted);
        Ok(())
    }

    pub(crate) fn unmount(&self, id: &str) -> bool {
        self.drives.write().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }

    /// All drives by id.
    pub(crate) fn mounted(&self) -> Vec<Mounted> {
        self.drives.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn mounted_drive(&self, id: &str) -> Option<Mounted> {
        self.drives.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The drive that an address means. A user without a drive of its own has the first one;
    /// a site without one too, so that a test needs no directory of users.
    pub(crate) fn drive(&self, which: &DriveRef) -> Result<Arc<DriveHandle>, GraphError> {
        let missing = || GraphError::new(404, "ResourceNotFound", "The drive could not be found.");
        let drives = self.drives.read().unwrap_or_else(PoisonError::into_inner);
        let found = match which {
            DriveRef::Id(id) => drives.get(id),
            DriveRef::User(user) => drives
                .values()
                .find(|drive| drive.spec.options.owner.as_deref() == Some(user))
                .or_else(|| drives.values().find(|drive| drive.spec.options.owner.is_none())),
            DriveRef::Site(site) => drives
                .values()
                .find(|drive| drive.spec.options.site.as_deref() == Some(site))
                .or_else(|| drives.values().find(|drive| drive.spec.options.site.is_none())),
        };
        found.map(|drive| drive.handle.clone()).ok_or_else(missing)
    }

    /// Drives of a user or site, by id.
    pub(crate) fn drives_of(&self, which: &DriveRef) -> Vec<Arc<DriveHandle>> {
        let drives = self.drives.read().unwrap_or_else(PoisonError::into_inner);
        let belongs = |drive: &&Mounted| match which {
            DriveRef::Id(id) => drive.spec.id == *id,
            DriveRef::User(user) => drive.spec.options.owner.as_ref().is_none_or(|owner| owner == user),
            DriveRef::Site(site) => drive.spec.options.site.as_ref().is_none_or(|known| known == site),
        };
        drives.values().filter(belongs).map(|drive| drive.handle.clone()).collect()
    }

    /// No faults, calls, subscriptions, uploads or tokens; drives of the command line as at the start,
    /// drives of the control port gone. A folder drive shows its folder, as ever.
    pub(crate) fn reset(&self) -> std::io::Result<()> {
        self.faults.clear();
        self.ledger.clear();
        self.subscriptions.clear();
        self.uploads.clear();
        self.clock.reset();
        self.identity.revoke(false);
        self.google.reset(&self.config);
        self.office.reset(self.clock.now_ms());
        for mounted in self.mounted() {
            if mounted.transient {
                self.unmount(&mounted.spec.id);
            } else if matches!(mounted.spec.kind, DriveKind::Generated { .. }) {
                self.mount(mounted.spec, false)?;
            }
        }
        Ok(())
    }
}
