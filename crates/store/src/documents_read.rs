//! The read side of `documents`.

use chrono::{DateTime, Utc};
use domain::ids::CompanyId;

use crate::error::{Doing, Result};
use crate::pool::Tx;

/// A document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Id; stable as long as the item lives.
    pub id: i64,
    /// `ao`.
    pub entity_type: String,
    /// AO id.
    pub entity_id: String,
    /// File name.
    pub name: String,
    /// Category folder.
    pub category: String,
    /// From the drive's root, segments separated by `/`.
    pub path: String,
    /// Graph item id.
    pub onedrive_id: Option<String>,
    /// Graph drive id.
    pub drive_id: Option<String>,
    /// `file`, `package`, `remote`.
    pub kind: String,
    /// Bytes.
    pub size: Option<i64>,
    /// Etag of the item.
    pub e_tag: Option<String>,
    /// quickXorHash, base64.
    pub quick_xor_hash: Option<String>,
    /// MIME type.
    pub mime_type: Option<String>,
    /// Changed at the provider.
    pub modified_at: Option<DateTime<Utc>>,
    /// Left at.
    pub deleted_at: Option<DateTime<Utc>>,
    /// First stored.
    pub created_at: DateTime<Utc>,
    /// Last stored.
    pub updated_at: DateTime<Utc>,
}

/// Which documents to list.
#[derive(Debug, Clone, Default)]
pub struct DocumentFilter {
    /// Only this AO.
    pub ao_id: Option<String>,
    /// Only this category.
    pub category: Option<String>,
    /// Only names that contain this, without case.
    pub name: Option<String>,
    /// Also those that left.
    pub deleted: bool,
    /// Only ids above this one: the last of the previous page.
    pub after: Option<i64>,
}

/// Documents of the company in the order of their ids.
///
/// # Errors
/// As every statement.
pub async fn list(
    tx: &mut Tx,
    company: CompanyId,
    filter: &DocumentFilter,
    limit: i64,
) -> Result<Vec<Document>> {
    sqlx::query_as!(
        Document,
        "SELECT id, entity_type, entity_id, name, category, path, onedrive_id, drive_id, kind, size, e_tag,
             quick_xor_hash, mime_type, modified_at, deleted_at, created_at, updated_at
         FROM documents
         WHERE company_id = $1 AND ($2::text IS NULL OR (entity_type = 'ao' AND entity_id = $2))
             AND ($3::text IS NULL OR category = $3)
             AND ($4::text IS NULL OR strpos(lower(name), lower($4)) > 0)
             AND ($5 OR deleted_at IS NULL) AND ($6::bigint IS NULL OR id > $6)
         ORDER BY id LIMIT $7",
        company.uuid(),
        filter.ao_id,
        filter.category,
        filter.name,
        filter.deleted,
        filter.after,
        limit,
    )
    .fetch_all(tx.conn())
    .await
    .doing("listing documents")
}
