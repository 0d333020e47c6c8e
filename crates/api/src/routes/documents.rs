//! `/api/documents`, `/api/aos/{aoId}/documents`

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::documents_read::{self, Document, DocumentFilter};
use utoipa::{IntoParams, ToSchema};
use web::auth::Viewer;
use web::json::Json;
use web::page::Page;
use web::path::Path;
use web::query::Query;

use crate::error::Answer;
use crate::state::ApiState;

/// A document.
#[derive(Debug, Serialize, ToSchema)]
pub struct DocumentBody {
    id: i64,
    /// `ao`
    entity_type: String,
    entity_id: String,
    name: String,
    category: String,
    /// From the drive's root.
    path: String,
    onedrive_id: Option<String>,
    drive_id: Option<String>,
    /// `file`, `package` (OneNote) or `remote` (a shortcut).
    kind: String,
    size: Option<i64>,
    e_tag: Option<String>,
    quick_xor_hash: Option<String>,
    mime_type: Option<String>,
    modified_at: Option<DateTime<Utc>>,
    deleted_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Document> for DocumentBody {
    fn from(d: Document) -> Self {
        Self {
            id: d.id,
            entity_type: d.entity_type,
            entity_id: d.entity_id,
            name: d.name,
            category: d.category,
            path: d.path,
            onedrive_id: d.onedrive_id,
            drive_id: d.drive_id,
            kind: d.kind,
            size: d.size,
            e_tag: d.e_tag,
            quick_xor_hash: d.quick_xor_hash,
            mime_type: d.mime_type,
            modified_at: d.modified_at,
            deleted_at: d.deleted_at,
            created_at: d.created_at,
            updated_at: d.updated_at,
        }
    }
}

/// Which documents to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DocumentQuery {
    /// Only this category.
    category: Option<String>,
    /// Only names that contain this, without case.
    name: Option<String>,
    /// Also documents that have left (false).
    #[serde(default)]
    deleted: bool,
    /// Items on the page, 1 to 200 (50).
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Documents of an AO, by id
#[utoipa::path(get, path = "/api/aos/{aoId}/documents", tag = "data",
    params(("aoId" = String, Path), DocumentQuery), responses(
    (status = 200, description = "A page of documents", body = Page<DocumentBody>),
    (status = 404, description = "No such AO", body = web::problem::ProblemBody),
))]
pub async fn of_ao(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Path(ao): Path<String>,
    Query(query): Query<DocumentQuery>,
) -> Answer<Json<Page<DocumentBody>>> {
    let (mut tx, company) = state.tenant(&claims).await?;
    store::aos::get(&mut tx, company, &ao).await?.ok_or_else(|| super::aos::unknown(&ao))?;
    drop(tx);
    select(&state, &claims, Some(ao), query).await
}

/// Documents of the organization, by id
#[utoipa::path(get, path = "/api/documents", tag = "data", params(DocumentQuery), responses(
    (status = 200, description = "A page of documents", body = Page<DocumentBody>),
))]
pub async fn list(
    State(state): State<ApiState>,
    Viewer(claims): Viewer,
    Query(query): Query<DocumentQuery>,
) -> Answer<Json<Page<DocumentBody>>> {
    select(&state, &claims, None, query).await
}

async fn select(
    state: &ApiState,
    claims: &web::auth::Claims,
    ao_id: Option<String>,
    query: DocumentQuery,
) -> Answer<Json<Page<DocumentBody>>> {
    let page = super::page(query.limit, query.cursor)?;
    let filter = DocumentFilter {
        ao_id,
        category: query.category,
        name: query.name,
        deleted: query.deleted,
        after: page.after()?,
    };
    let (mut tx, company) = state.tenant(claims).await?;
    let rows = documents_read::list(&mut tx, company, &filter, page.fetch()).await?;
    Ok(Json(Page::cut(&page, rows, |d| d.id).map(DocumentBody::from)))
}
