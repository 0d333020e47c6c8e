//! `$select` over the properties of a driveItem.

/// A set of properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Select(pub(crate) u32);

/// The properties that can be asked for.
pub(crate) mod field {
    pub(crate) const NAME: u32 = 1;
    pub(crate) const SIZE: u32 = 1 << 1;
    pub(crate) const ETAG: u32 = 1 << 2;
    pub(crate) const CTAG: u32 = 1 << 3;
    pub(crate) const PARENT: u32 = 1 << 4;
    pub(crate) const FILE: u32 = 1 << 5;
    pub(crate) const FOLDER: u32 = 1 << 6;
    pub(crate) const ROOT: u32 = 1 << 7;
    pub(crate) const PACKAGE: u32 = 1 << 8;
    pub(crate) const CREATED: u32 = 1 << 9;
    pub(crate) const MODIFIED: u32 = 1 << 10;
    pub(crate) const WEB_URL: u32 = 1 << 11;
    pub(crate) const FILE_SYSTEM: u32 = 1 << 12;
    pub(crate) const CREATED_BY: u32 = 1 << 13;
    pub(crate) const MODIFIED_BY: u32 = 1 << 14;
    pub(crate) const DOWNLOAD: u32 = 1 << 15;
    pub(crate) const MALWARE: u32 = 1 << 16;
    pub(crate) const REMOTE: u32 = 1 << 17;
}

impl Select {
    pub(crate) const ALL: Self = Self((1 << 18) - 1);

    /// Parses a `$select` list. The id and the deleted facet are always sent; names that the emulator
    /// does not model select nothing.
    pub(crate) fn parse(list: Option<&str>) -> Self {
        let Some(list) = list.filter(|list| !list.trim().is_empty()) else { return Self::ALL };
        let bits = list.split(',').map(|name| match name.trim() {
            "name" => field::NAME,
            "size" => field::SIZE,
            "eTag" => field::ETAG,
            "cTag" => field::CTAG,
            "parentReference" => field::PARENT,
            "file" => field::FILE,
            "folder" => field::FOLDER,
            "root" => field::ROOT,
            "package" => field::PACKAGE,
            "createdDateTime" => field::CREATED,
            "lastModifiedDateTime" => field::MODIFIED,
            "webUrl" => field::WEB_URL,
            "fileSystemInfo" => field::FILE_SYSTEM,
            "createdBy" => field::CREATED_BY,
            "lastModifiedBy" => field::MODIFIED_BY,
            "content.downloadUrl" | "@microsoft.graph.downloadUrl" => field::DOWNLOAD,
            "malware" => field::MALWARE,
            "remoteItem" => field::REMOTE,
            "*" => Self::ALL.0,
            _ => 0,
        });
        Self(bits.fold(0, |all, bit| all | bit))
    }

    pub(crate) fn has(self, field: u32) -> bool {
        self.0 & field != 0
    }

    pub(crate) fn without(self, field: u32) -> Self {
        Self(self.0 & !field)
    }
}
