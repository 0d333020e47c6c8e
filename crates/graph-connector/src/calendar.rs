//! The gRPC service of Outlook calendars.

use chrono::{DateTime, Utc};
use contracts::fault::refused;
use contracts::graph::v1::graph_calendar_server::GraphCalendar;
use contracts::graph::v1::{
    CalendarDeltaReply, CalendarDeltaRequest, CreateOutlookEventReply, CreateOutlookEventRequest,
    DeleteOutlookEventReply, DeleteOutlookEventRequest, GetOutlookEventReply, GetOutlookEventRequest,
    ListInstancesReply, ListInstancesRequest, UpdateOutlookEventReply, UpdateOutlookEventRequest,
    calendar_delta_reply,
};
use graph_client::NextLink;
use serde_json::{Map, Value};
use tonic::{Request, Response, Status};

use crate::convert::poison;
use crate::convert_mail::instant;
use crate::mail::given;
use crate::permissions::{CALENDARS_READ, CALENDARS_WRITE};
use crate::server::Connector;

fn bytes(event: &Value) -> Vec<u8> {
    event.to_string().into_bytes()
}

fn object(json: &[u8]) -> Result<Map<String, Value>, Status> {
    serde_json::from_slice(json).map_err(|_| refused("invalidRequest", "json is not an object"))
}

fn named<'a>(what: &str, id: &'a str) -> Result<&'a str, Status> {
    given(id).ok_or_else(|| refused("invalidRequest", format!("{what} is empty")))
}

fn window(from_us: i64, to_us: i64) -> Result<(DateTime<Utc>, DateTime<Utc>), Status> {
    let (from, to) = (instant(from_us), instant(to_us));
    from.zip(to)
        .filter(|(from, to)| from < to)
        .ok_or_else(|| refused("invalidRequest", "from_us and to_us are no window"))
}

#[tonic::async_trait]
impl GraphCalendar for Connector {
    async fn calendar_delta(
        &self,
        request: Request<CalendarDeltaRequest>,
    ) -> Result<Response<CalendarDeltaReply>, Status> {
        let request = request.into_inner();
        let link = given(&request.link);
        let window = match link {
            Some(_) => (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH),
            None => window(request.from_us, request.to_us)?,
        };
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let page = turned.graph.calendar_delta(&request.user_id, link, window).await;
        let page = self.learn(CALENDARS_READ, page)?;
        let next = match page.next {
            NextLink::Next(link) => calendar_delta_reply::Next::NextLink(link),
            NextLink::Delta(link) => calendar_delta_reply::Next::DeltaLink(link),
        };
        Ok(Response::new(CalendarDeltaReply {
            events: page.items.iter().map(bytes).collect(),
            poison: poison(page.poison),
            next: Some(next),
        }))
    }

    async fn get_outlook_event(
        &self,
        request: Request<GetOutlookEventRequest>,
    ) -> Result<Response<GetOutlookEventReply>, Status> {
        let request = request.into_inner();
        let user = &request.user_id;
        let turned = self.mailbox(request.context.as_ref(), user).await?;
        let found = match (given(&request.event_id), given(&request.transaction_id)) {
            (Some(id), None) => turned.graph.event(user, id, request.series).await,
            (None, Some(id)) => turned.graph.find_event(user, id).await,
            _ => return Err(refused("invalidRequest", "give either event_id or transaction_id")),
        };
        let found = self.learn(CALENDARS_READ, found)?;
        Ok(Response::new(GetOutlookEventReply { event: found.as_ref().map(bytes).unwrap_or_default() }))
    }

    async fn list_instances(
        &self,
        request: Request<ListInstancesRequest>,
    ) -> Result<Response<ListInstancesReply>, Status> {
        let request = request.into_inner();
        let master = named("series_master_id", &request.series_master_id)?;
        let window = window(request.from_us, request.to_us)?;
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let found = turned.graph.event_instances(&request.user_id, master, window).await;
        let found = self.learn(CALENDARS_READ, found)?;
        Ok(Response::new(ListInstancesReply { events: found.iter().map(bytes).collect() }))
    }

    async fn create_outlook_event(
        &self,
        request: Request<CreateOutlookEventRequest>,
    ) -> Result<Response<CreateOutlookEventReply>, Status> {
        let request = request.into_inner();
        let transaction = named("transaction_id", &request.transaction_id)?;
        let body = object(&request.json)?;
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let made = turned.graph.create_event(&request.user_id, transaction, body).await;
        let made = self.learn(CALENDARS_WRITE, made)?;
        Ok(Response::new(CreateOutlookEventReply { event: bytes(&made) }))
    }

    async fn update_outlook_event(
        &self,
        request: Request<UpdateOutlookEventRequest>,
    ) -> Result<Response<UpdateOutlookEventReply>, Status> {
        let request = request.into_inner();
        let (id, body) = (named("event_id", &request.event_id)?, object(&request.json)?);
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let changed = turned.graph.update_event(&request.user_id, id, &body, given(&request.if_match)).await;
        let changed = self.learn(CALENDARS_WRITE, changed)?;
        Ok(Response::new(UpdateOutlookEventReply { event: bytes(&changed) }))
    }

    async fn delete_outlook_event(
        &self,
        request: Request<DeleteOutlookEventRequest>,
    ) -> Result<Response<DeleteOutlookEventReply>, Status> {
        let request = request.into_inner();
        let id = named("event_id", &request.event_id)?;
        let turned = self.mailbox(request.context.as_ref(), &request.user_id).await?;
        let existed = turned.graph.delete_event(&request.user_id, id, given(&request.if_match)).await;
        let existed = self.learn(CALENDARS_WRITE, existed)?;
        Ok(Response::new(DeleteOutlookEventReply { existed }))
    }
}
