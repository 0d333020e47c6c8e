//! The Graph side: from an address to an answer.

use http::Method;
use serde_json::{Value, json};

use crate::config::DriveType;
use crate::http::{Call, Reply};
use crate::microsoft::children;
use crate::microsoft::delta;
use crate::microsoft::drive::{Drive, DriveHandle};
use crate::microsoft::errors::GraphError;
use crate::microsoft::items;
use crate::microsoft::office;
use crate::microsoft::subscriptions;
use crate::microsoft::target::{self, Action, DriveRef, ItemRef, Target};
use crate::microsoft::upload;
use crate::world::World;

/// The part of the path after the version, if this is a Graph address.
pub(crate) fn relative(path: &str) -> Option<&str> {
    path.strip_prefix("/v1.0").or_else(|| path.strip_prefix("/beta")).filter(|rest| rest.starts_with('/'))
}

/// Answers one call; `$batch` itself is answered elsewhere.
pub(crate) async fn answer(world: &World, call: &Call) -> Reply {
    match route(world, call).await {
        Ok(reply) => reply,
        Err(error) => error.into(),
    }
}

async fn route(world: &World, call: &Call) -> Result<Reply, GraphError> {
    let path = relative(&call.path).ok_or_else(GraphError::not_found)?;
    if let Some(outcome) = office::route::answer(world, path, call).await {
        return outcome;
    }
    match target::parse(path, call)? {
        Target::Batch => Err(GraphError::new(400, "BadRequest", "A batch cannot hold a batch.")),
        Target::Subscriptions | Target::Subscription(_) | Target::Reauthorize(_) => {
            subscriptions::answer(world, path, call).await
        }
        Target::Drives => only(&call.method, &Method::GET).map(|()| {
            drives(
                world,
                &world.mounted().iter().map(|mounted| mounted.handle.clone()).collect::<Vec<_>>(),
                call,
            )
        }),
        Target::DrivesOf(owner) => {
            only(&call.method, &Method::GET).map(|()| drives(world, &world.drives_of(&owner), call))
        }
        Target::Drive(owner) => {
            only(&call.method, &Method::GET)?;
            let handle = world.drive(&owner)?;
            let drive = handle.lock();
            let mut body = drive_json(&drive, call);
            body["@odata.context"] = json!(format!("{}/v1.0/$metadata#drives/$entity", call.origin));
            Ok(Reply::json(200, &body))
        }
        Target::Item(owner, address, action) => item(world, &owner, &address, &action, call),
    }
}

fn only(method: &Method, wanted: &Method) -> Result<(), GraphError> {
    if method == wanted { Ok(()) } else { Err(not_allowed()) }
}

fn not_allowed() -> GraphError {
    GraphError::new(405, "invalidRequest", "The method is not possible on this resource.")
}

fn drives(_world: &World, handles: &[std::sync::Arc<DriveHandle>], call: &Call) -> Reply {
    let value: Vec<Value> = handles.iter().map(|handle| drive_json(&handle.lock(), call)).collect();
    let context = format!("{}/v1.0/$metadata#drives", call.origin);
    Reply::json(200, &json!({"@odata.context": context, "value": value}))
}

fn drive_json(drive: &Drive, call: &Call) -> Value {
    let mut created = Vec::new();
    crate::microsoft::json::date(&mut created, drive.created);
    let owner = drive.options.owner.clone().unwrap_or_else(|| "Emulator".into());
    json!({
        "id": drive.id,
        "name": drive.options.name,
        "driveType": match drive.options.drive_type {
            DriveType::Business => "business",
            DriveType::Personal => "personal",
        },
        "createdDateTime": String::from_utf8_lossy(&created),
        "webUrl": format!("{}/web", call.origin),
        "owner": {"user": {"displayName": owner}},
        "quota": {"deleted": 0, "remaining": 1_099_511_627_776_u64, "state": "normal", "total": 1_099_511_627_776_u64, "used": 0},
    })
}

fn item(
    world: &World,
    owner: &DriveRef,
    address: &ItemRef,
    action: &Action,
    call: &Call,
) -> Result<Reply, GraphError> {
    let now = world.clock.now_ms();
    let handle = world.drive(owner)?;
    let mut guard = handle.lock();
    let drive = &mut *guard;
    let method = &call.method;
    let get = method == Method::GET;
    match action {
        Action::Item if get => Ok(items::get(drive, items::resolve(drive, address)?, call, now)),
        Action::Item if method == Method::PATCH => {
            let index = items::resolve(drive, address)?;
            changed(world, drive, |drive| items::patch(drive, index, call, now))
        }
        Action::Item if method == Method::DELETE => {
            let index = items::resolve(drive, address)?;
            changed(world, drive, |drive| items::delete(drive, index, call, now))
        }
        Action::Children if get => {
            let folder = items::resolve(drive, address)?;
            children::serve(drive, folder, call, now)
        }
        Action::Children if method == Method::POST => {
            let parent = items::resolve(drive, address)?;
            changed(world, drive, |drive| items::create_child(drive, parent, call, now))
        }
        Action::Content if get => items::content_redirect(drive, items::resolve(drive, address)?, call, now),
        Action::Content if method == Method::PUT => {
            changed(world, drive, |drive| items::put_content(drive, address, call, now))
        }
        Action::Delta(token) if get => {
            let scope = items::resolve(drive, address)?;
            if !drive.tree.item(scope).is_folder() {
                return Err(GraphError::invalid("delta can be called on folders only."));
            }
            Ok(delta::serve(drive, scope, token.as_deref(), call, now))
        }
        Action::CreateUploadSession if method == Method::POST => upload::create(world, drive, address, call),
        _ => Err(not_allowed()),
    }
}

/// Runs a change and rings the bell when it was one.
fn changed(
    world: &World,
    drive: &mut Drive,
    change: impl FnOnce(&mut Drive) -> Result<Reply, GraphError>,
) -> Result<Reply, GraphError> {
    let before = drive.tree.head();
    let reply = change(drive);
    if drive.tree.head() != before {
        world.dirty.mark(&drive.id);
    }
    reply
}
