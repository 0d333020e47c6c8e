//! From the domain's words to the contract's.

use chrono::{DateTime, Utc};
use contracts::graph::v1 as proto;
use domain::drive::ItemKind;
use domain::ids::{DriveId, ItemId};
use graph_client::{DriveInfo, Item, PoisonItem};

pub(crate) fn micros(instant: DateTime<Utc>) -> i64 {
    instant.timestamp_micros()
}

pub(crate) fn item(item: Item) -> proto::DriveItem {
    let Item { change, web_url } = item;
    let kind = match change.kind {
        ItemKind::Root => proto::ItemKind::Root,
        ItemKind::Folder => proto::ItemKind::Folder,
        ItemKind::File => proto::ItemKind::File,
        ItemKind::Package => proto::ItemKind::Package,
        ItemKind::Remote => proto::ItemKind::Remote,
    };
    proto::DriveItem {
        id: change.id.into_string(),
        parent_id: change.parent_id.map(ItemId::into_string),
        name: change.name,
        kind: kind.into(),
        deleted: change.deleted,
        size: change.size,
        e_tag: change.e_tag,
        c_tag: change.c_tag,
        quick_xor_hash: change.quick_xor_hash,
        mime_type: change.mime_type,
        modified_at_us: change.modified_at.map(micros),
        created_at_us: change.created_at.map(micros),
        malware: change.malware,
        remote_drive_id: change.remote_drive_id.map(DriveId::into_string),
        remote_item_id: change.remote_item_id.map(ItemId::into_string),
        web_url,
    }
}

pub(crate) fn items(items: Vec<Item>) -> Vec<proto::DriveItem> {
    items.into_iter().map(item).collect()
}

pub(crate) fn poison(poison: Vec<PoisonItem>) -> Vec<proto::PoisonItem> {
    let convert = |p: PoisonItem| proto::PoisonItem {
        raw_json: p.raw_json,
        reason: p.reason,
        item_id: p.id.unwrap_or_default(),
    };
    poison.into_iter().map(convert).collect()
}

pub(crate) fn drive(drive: DriveInfo) -> proto::GetDriveReply {
    proto::GetDriveReply {
        drive_id: drive.id,
        drive_type: drive.drive_type,
        name: drive.name,
        root_item_id: drive.root_item_id,
        web_url: drive.web_url,
    }
}
