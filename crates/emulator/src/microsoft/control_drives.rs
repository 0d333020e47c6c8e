//! The control side of drives: making, changing, and breaking them.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{DriveKind, DriveSpec};
use crate::control::{Control, Refusal, blocking};
use crate::microsoft::drive::{Backing, Conflict, Drive, Remote};
use crate::microsoft::errors::GraphError;
use crate::microsoft::mutate;
use crate::microsoft::tree::{ROOT, flag};
use crate::world::Mounted;

/// Most items of a generated drive.
const MAX_ITEMS: u32 = 5_000_000;
/// Most changes of one call.
const MAX_MUTATIONS: u32 = 1_000_000;

pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/drives", get(list).post(create))
        .route("/drives/{id}", delete(remove))
        .route("/drives/{id}/mutate", post(run_mutations))
        .route("/drives/{id}/items", post(plant))
        .route("/drives/{id}/expire-tokens", post(expire))
        .route("/drives/{id}/rescan", post(rescan))
}

fn find(control: &Control, id: &str) -> Result<Mounted, Refusal> {
    control.world.mounted_drive(id).ok_or_else(|| Refusal::missing(format!("there is no drive {id}")))
}

fn describe(mounted: &Mounted) -> Value {
    let drive = mounted.handle.lock();
    let refused: Vec<&str> = match &drive.backing {
        Backing::Folder(folder) => folder.refused().collect(),
        Backing::Memory => Vec::new(),
    };
    json!({
        "id": drive.id,
        "source": mounted.spec.kind,
        "options": drive.options,
        "items": drive.tree.live_count() - 1,
        "changes": drive.tree.head(),
        "refused": refused,
    })
}

async fn list(State(control): State<Control>) -> Json<Value> {
    let items: Vec<Value> = control.world.mounted().iter().map(describe).collect();
    Json(json!({"items": items}))
}

async fn create(State(control): State<Control>, Json(spec): Json<DriveSpec>) -> Result<Response, Refusal> {
    if spec.id.is_empty() || spec.id.contains('/') {
        return Err(Refusal::invalid("id: must not be empty or contain a slash"));
    }
    if let DriveKind::Generated { items, .. } = spec.kind
        && items > MAX_ITEMS
    {
        return Err(Refusal::invalid(format!("items: at most {MAX_ITEMS}")));
    }
    if control.world.mounted_drive(&spec.id).is_some() {
        return Err(Refusal(StatusCode::CONFLICT, format!("there is a drive {} already", spec.id)));
    }
    let (world, id) = (control.world.clone(), spec.id.clone());
    blocking(move || world.mount(spec, true)).await??;
    Ok((StatusCode::CREATED, Json(describe(&find(&control, &id)?))).into_response())
}

async fn remove(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    find(&control, &id)?;
    let world = control.world;
    blocking(move || world.unmount(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn run_mutations(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(request): Json<mutate::Request>,
) -> Result<Json<Value>, Refusal> {
    if request.count > MAX_MUTATIONS {
        return Err(Refusal::invalid(format!("count: at most {MAX_MUTATIONS}")));
    }
    let mounted = find(&control, &id)?;
    let world = control.world.clone();
    let now = world.clock.now_ms();
    let answer = blocking(move || {
        let mut drive = mounted.handle.lock();
        let done = mutate::run(&mut drive, &request, now);
        world.dirty.mark(&drive.id);
        json!({"done": done, "items": drive.tree.live_count() - 1, "changes": drive.tree.head()})
    })
    .await?;
    Ok(Json(answer))
}

/// What cannot be made through Graph.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Plant {
    /// A OneNote notebook.
    Package { path: String },
    /// A folder shared from another drive.
    RemoteItem { path: String, drive: String, item: String },
    /// A file in which malware was found.
    Malware { path: String },
}

async fn plant(
    State(control): State<Control>,
    Path(id): Path<String>,
    Json(request): Json<Plant>,
) -> Result<Response, Refusal> {
    let mounted = find(&control, &id)?;
    let now = control.world.clock.now_ms();
    let mut drive = mounted.handle.lock();
    let index = plant_in(&mut drive, request, now).map_err(|error| Refusal::invalid(error.message))?;
    control.world.dirty.mark(&drive.id);
    Ok((StatusCode::CREATED, Json(json!({"id": drive.ids.text(index)}))).into_response())
}

fn plant_in(drive: &mut Drive, request: Plant, now: i64) -> Result<u32, GraphError> {
    let split = |path: &str| -> Option<(Vec<String>, String)> {
        let mut names: Vec<String> =
            path.split('/').filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect();
        let last = names.pop()?;
        Some((names, last))
    };
    let invalid = || GraphError::invalid("path: expected /folder/name with an existing folder");
    let place = |drive: &mut Drive, path: &str| -> Result<(u32, String), GraphError> {
        let (folders, name) = split(path).ok_or_else(invalid)?;
        let parent = drive.tree.resolve(ROOT, folders.iter().map(String::as_str)).ok_or_else(invalid)?;
        Ok((parent, name))
    };
    match request {
        Plant::Package { path } => {
            let (parent, name) = place(drive, &path)?;
            drive.plant(parent, &name, flag::PACKAGE, now)
        }
        Plant::RemoteItem { path, drive: other, item } => {
            let (parent, name) = place(drive, &path)?;
            let index = drive.plant(parent, &name, flag::REMOTE, now)?;
            drive.remotes.insert(index, Remote { drive: other, item });
            Ok(index)
        }
        Plant::Malware { path } => {
            let (parent, name) = place(drive, &path)?;
            let index = match drive.tree.child(parent, &name) {
                Some(index) => index,
                None => drive.put_file(parent, &name, &"EICAR".into(), Conflict::Fail, now)?.0,
            };
            drive.tree.item_mut(index).flags |= flag::MALWARE;
            drive.tree.touch(index, now);
            Ok(index)
        }
    }
}

/// Every token of the drive is answered 410 from now on.
async fn expire(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let mounted = find(&control, &id)?;
    let mut drive = mounted.handle.lock();
    drive.token_epoch = drive.token_epoch.wrapping_add(1);
    Ok(StatusCode::NO_CONTENT)
}

async fn rescan(State(control): State<Control>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let mounted = find(&control, &id)?;
    let Some(watch) = mounted.watch.clone() else {
        return Err(Refusal::invalid("the drive has no folder behind it"));
    };
    let changed = blocking(move || {
        let watch: Arc<_> = watch;
        watch.rescan()
    })
    .await??;
    Ok(Json(json!({"changed": changed})))
}
