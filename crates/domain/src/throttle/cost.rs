//! What a call costs against SharePoint's and OneDrive's resource-unit budget.

/// Resource units that Microsoft grants one application in one tenant per minute in the smallest
/// licence class, 0 to 1,000 licences (SharePoint "avoid getting throttled" page).
pub const SHAREPOINT_UNITS_PER_MINUTE: u32 = 1_250;

/// A call to Graph as the SharePoint resource-unit table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// One item by id or path.
    GetItem,
    /// A delta page that carries a token (a next link or a delta link).
    DeltaWithToken,
    /// A delta page without a token.
    DeltaStart,
    /// The content of a file.
    Download,
    /// Children of a folder, drives of a site.
    List,
    /// Create, update, delete, upload.
    Write,
    /// Permissions, also as `$expand=permissions`.
    Permissions,
}

impl Operation {
    /// Resource units of one call (SharePoint "avoid getting throttled" page: 1 for a single item,
    /// a delta with token and a download, 2 for lists and writes, 5 for permissions). The items of
    /// a `$batch` count one by one.
    pub const fn resource_units(self) -> u32 {
        match self {
            Self::GetItem | Self::DeltaWithToken | Self::Download => 1,
            Self::DeltaStart | Self::List | Self::Write => 2,
            Self::Permissions => 5,
        }
    }
}
