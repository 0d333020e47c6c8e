//! gcal-connector, as the calendar sync uses it.

use chassis::grpc::TracedChannel;
use contracts::fault::from_status;
use contracts::gcal::v1 as pb;
use contracts::gcal::v1::gcal_connector_client::GcalConnectorClient;
use contracts::graph::v1::{FaultKind, ProviderFault};
use domain::calendar::cursor::{Listed, Request};
use domain::calendar::engine::{Answer, Call, Updates};
use domain::calendar::quota::Problem;
use job_runtime::{JobContext, JobError};
use tonic::{Response, Status};
use uuid::Uuid;

use super::told::{EventPage, Told};

/// Largest answer accepted from the connector, in bytes: a page of 2,500 events with long descriptions.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// `conferenceDataVersion` of writes that touch the conference.
const CONFERENCE: i32 = 1;

/// A client of gcal-connector. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Google {
    client: GcalConnectorClient<TracedChannel>,
}

/// A call that the connector answered with a fault.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Google Calendar: {} ({})", .0.message, .0.code)]
pub struct GoogleError(pub Box<ProviderFault>);

impl From<GoogleError> for JobError {
    fn from(error: GoogleError) -> Self {
        let message = error.to_string();
        crate::fault::job_error(&error.0, message)
    }
}

impl Google {
    /// A client over a channel.
    pub fn new(channel: TracedChannel) -> Self {
        Self { client: GcalConnectorClient::new(channel).max_decoding_message_size(MAX_MESSAGE) }
    }

    /// One page of the calendar's changes. An answer about the cursor itself is an answer.
    pub(super) async fn list(
        &self,
        job: &JobContext,
        connection: Uuid,
        request: Request,
    ) -> Result<EventPage, GoogleError> {
        let asked = pb::ListEventsRequest {
            context: Some(context(job)),
            connection_id: connection.to_string(),
            sync_token: request.sync_token.unwrap_or_default(),
            page_token: request.page_token.unwrap_or_default(),
            ..pb::ListEventsRequest::default()
        };
        let reply = match unpack(self.client.clone().list_events(asked).await) {
            Ok(reply) => reply,
            Err(error) => {
                let listed = match error.0.kind() {
                    FaultKind::Resync if error.0.code == "updatedMinTooLongAgo" => Listed::WindowRefused,
                    FaultKind::Resync => Listed::TokenRefused,
                    FaultKind::NotFound | FaultKind::Deleted if error.0.code != "unknownConnection" => {
                        Listed::CalendarGone
                    }
                    _ => return Err(error),
                };
                return Ok(EventPage::empty(listed));
            }
        };
        let mut poison = reply.poison;
        let mut events = Vec::with_capacity(reply.events.len());
        for event in reply.events {
            match serde_json::from_slice(&event.json) {
                Ok(value) => events.push(value),
                Err(error) => poison.push(pb::PoisonEvent {
                    raw_json: String::from_utf8_lossy(&event.json).into_owned(),
                    reason: error.to_string(),
                    event_id: event.id,
                }),
            }
        }
        let some = |text: String| (!text.is_empty()).then_some(text);
        let listed =
            Listed::Page { next_page: some(reply.next_page_token), next_token: some(reply.next_sync_token) };
        Ok(EventPage { events, poison, ..EventPage::empty(listed) })
    }

    /// Carries out a call of the engine.
    pub(super) async fn perform(&self, job: &JobContext, connection: Uuid, call: &Call) -> Told {
        let mut client = self.client.clone();
        let (context, connection_id) = (Some(context(job)), connection.to_string());
        let outcome = match call {
            Call::Look { id } => {
                let asked = pb::GetEventRequest { context, connection_id, event_id: id.clone() };
                let reply = unpack(client.get_event(asked).await);
                match reply {
                    Ok(pb::GetEventReply { event: None }) => {
                        return Told::plain(Answer::Refused(Problem::NotFound));
                    }
                    Ok(reply) => Ok(reply.event),
                    Err(error) => Err(error),
                }
            }
            Call::Insert { body, conference, updates, .. } => {
                let asked = pb::InsertEventRequest {
                    context,
                    connection_id,
                    json: body.to_string().into_bytes(),
                    send_updates: wire(*updates).to_owned(),
                    conference_data_version: i32::from(*conference) * CONFERENCE,
                };
                unpack(client.insert_event(asked).await).map(|reply| reply.event)
            }
            Call::Patch { id, etag, body, conference, updates, .. } => {
                let asked = pb::WriteEventRequest {
                    context,
                    connection_id,
                    event_id: id.clone(),
                    json: body.to_string().into_bytes(),
                    if_match: etag.clone().unwrap_or_default(),
                    send_updates: wire(*updates).to_owned(),
                    conference_data_version: i32::from(*conference) * CONFERENCE,
                };
                unpack(client.patch_event(asked).await).map(|reply| reply.event)
            }
            Call::Delete { id, etag, updates } => {
                let asked = pb::DeleteEventRequest {
                    context,
                    connection_id,
                    event_id: id.clone(),
                    if_match: etag.clone().unwrap_or_default(),
                    send_updates: wire(*updates).to_owned(),
                };
                return match unpack(client.delete_event(asked).await) {
                    Ok(reply) if reply.existed => Told::plain(Answer::Empty),
                    Ok(reply) if reply.http_status == 404 => Told::plain(Answer::Refused(Problem::NotFound)),
                    Ok(_) => Told::plain(Answer::Refused(Problem::Deleted)),
                    Err(error) => Told::refused(error.0),
                };
            }
        };
        match outcome {
            Ok(event) => match event.map(|event| serde_json::from_slice(&event.json)) {
                Some(Ok(value)) => Told::plain(Answer::Event(value)),
                // It answered, and nobody can tell what: as good as no answer.
                Some(Err(_)) | None => Told::plain(Answer::Unknown),
            },
            Err(error) => Told::refused(error.0),
        }
    }

    /// Makes sure that the calendar has a push channel; its capability, `push` or `poll`.
    pub(super) async fn watch(
        &self,
        job: &JobContext,
        connection: Uuid,
    ) -> Result<pb::WatchReply, GoogleError> {
        let asked = pb::WatchRequest {
            context: Some(context(job)),
            connection_id: connection.to_string(),
            ttl_seconds: 0,
        };
        unpack(self.client.clone().watch(asked).await)
    }
}

fn context(job: &JobContext) -> pb::CallContext {
    pb::CallContext { company_id: job.company().to_string(), job_id: job.job().to_string() }
}

const fn wire(updates: Updates) -> &'static str {
    match updates {
        Updates::None => "none",
        Updates::ExternalOnly => "externalOnly",
        Updates::All => "all",
    }
}

fn unpack<T>(outcome: Result<Response<T>, Status>) -> Result<T, GoogleError> {
    outcome.map(Response::into_inner).map_err(|status| GoogleError(Box::new(from_status(&status))))
}
