//! The gRPC service: one method, one question to Google.

use std::sync::Arc;
use std::time::Duration;

use cache::Cache;
use contracts::fault::refused;
use contracts::gcal::v1::gcal_connector_server::GcalConnector;
use contracts::gcal::v1::{self as proto};
use domain::time::SharedClock;
use gcal_client::{Delete, Deleted, GoogleOAuth, Instances, ListEvents, Write};
use outbound::vault::Vault;
use store::Store;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::clients::Clients;
use crate::convert::{calendar, event, page, some};

/// The service. Its memory does not grow with a calendar: one page at a time, at most `max_calls` of them.
#[derive(Debug)]
pub struct Connector {
    pub(crate) store: Store,
    pub(crate) cache: Arc<Cache>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) oauth: Arc<GoogleOAuth>,
    pub(crate) clients: Clients,
    pub(crate) clock: SharedClock,
    pub(crate) webhook_address: Option<String>,
    pub(crate) page_size: u32,
    pub(crate) quota_park: Duration,
    pub(crate) turns: Semaphore,
}

type Reply<T> = Result<Response<T>, Status>;

fn send_updates(text: &str) -> Result<Option<&str>, Status> {
    match text {
        "" => Ok(None),
        "all" | "externalOnly" | "none" => Ok(Some(text)),
        other => {
            let message = format!("send_updates is all, externalOnly or none, got {other:?}");
            Err(refused("invalidRequest", message))
        }
    }
}

fn present<'a>(name: &str, text: &'a str) -> Result<&'a str, Status> {
    some(text).ok_or_else(|| refused("invalidRequest", format!("{name} is empty")))
}

fn written(event_json: gcal_client::Event) -> Response<proto::EventReply> {
    Response::new(proto::EventReply { event: Some(event(event_json)) })
}

impl Connector {
    async fn change(&self, request: proto::WriteEventRequest, replace: bool) -> Reply<proto::EventReply> {
        let write = Write {
            json: &request.json,
            if_match: some(&request.if_match),
            send_updates: send_updates(&request.send_updates)?,
            conference: request.conference_data_version > 0,
        };
        let event_id = present("event_id", &request.event_id)?;
        let way = self.write_way(request.context.as_ref(), &request.connection_id).await?;
        let outcome = if replace {
            way.client.update_event(&way.route.calendar_id, event_id, &write).await
        } else {
            way.client.patch_event(&way.route.calendar_id, event_id, &write).await
        };
        self.settle(&way, outcome).await.map(written)
    }
}

#[tonic::async_trait]
impl GcalConnector for Connector {
    async fn get_status(&self, request: Request<proto::GetStatusRequest>) -> Reply<proto::GetStatusReply> {
        self.report(request.into_inner()).await.map(Response::new)
    }

    async fn begin_consent(
        &self,
        request: Request<proto::BeginConsentRequest>,
    ) -> Reply<proto::BeginConsentReply> {
        self.begin(request.into_inner()).await.map(Response::new)
    }

    async fn complete_consent(
        &self,
        request: Request<proto::CompleteConsentRequest>,
    ) -> Reply<proto::CompleteConsentReply> {
        let _turn = self.turn().await?;
        self.complete(request.into_inner()).await.map(Response::new)
    }

    async fn connect_calendar(
        &self,
        request: Request<proto::ConnectCalendarRequest>,
    ) -> Reply<proto::ConnectCalendarReply> {
        self.connect_another(request.into_inner()).await.map(Response::new)
    }

    async fn disconnect(&self, request: Request<proto::DisconnectRequest>) -> Reply<proto::DisconnectReply> {
        self.end(request.into_inner()).await.map(Response::new)
    }

    async fn list_calendars(
        &self,
        request: Request<proto::ListCalendarsRequest>,
    ) -> Reply<proto::ListCalendarsReply> {
        let request = request.into_inner();
        let way = self.way(request.context.as_ref(), &request.connection_id).await?;
        let found = way.client.list_calendars(some(&request.page_token)).await;
        let found = self.settle(&way, found).await?;
        Ok(Response::new(proto::ListCalendarsReply {
            calendars: found.calendars.into_iter().map(calendar).collect(),
            next_page_token: found.next_page_token.unwrap_or_default(),
        }))
    }

    async fn list_events(&self, request: Request<proto::ListEventsRequest>) -> Reply<proto::ListEventsReply> {
        let request = request.into_inner();
        let way = self.way(request.context.as_ref(), &request.connection_id).await?;
        let list = ListEvents {
            sync_token: some(&request.sync_token),
            page_token: some(&request.page_token),
            max_results: self.size(request.max_results),
            i_cal_uid: some(&request.i_cal_uid),
            private_extended_property: some(&request.private_extended_property),
        };
        let found = way.client.list_events(&way.route.calendar_id, &list).await;
        self.settle(&way, found).await.map(page).map(Response::new)
    }

    async fn list_instances(
        &self,
        request: Request<proto::ListInstancesRequest>,
    ) -> Reply<proto::ListEventsReply> {
        let request = request.into_inner();
        let event_id = present("event_id", &request.event_id)?;
        let way = self.way(request.context.as_ref(), &request.connection_id).await?;
        let list = Instances {
            page_token: some(&request.page_token),
            time_min: some(&request.time_min),
            time_max: some(&request.time_max),
            original_start: some(&request.original_start),
            show_deleted: request.show_deleted,
            max_results: self.page_size,
        };
        let found = way.client.instances(&way.route.calendar_id, event_id, &list).await;
        self.settle(&way, found).await.map(page).map(Response::new)
    }

    async fn get_event(&self, request: Request<proto::GetEventRequest>) -> Reply<proto::GetEventReply> {
        let request = request.into_inner();
        let event_id = present("event_id", &request.event_id)?;
        let way = self.way(request.context.as_ref(), &request.connection_id).await?;
        let found = way.client.get_event(&way.route.calendar_id, event_id).await;
        let found = self.settle(&way, found).await?;
        Ok(Response::new(proto::GetEventReply { event: found.map(event) }))
    }

    async fn insert_event(&self, request: Request<proto::InsertEventRequest>) -> Reply<proto::EventReply> {
        let request = request.into_inner();
        let write = Write {
            json: &request.json,
            if_match: None,
            send_updates: send_updates(&request.send_updates)?,
            conference: request.conference_data_version > 0,
        };
        let way = self.write_way(request.context.as_ref(), &request.connection_id).await?;
        let outcome = way.client.insert_event(&way.route.calendar_id, &write).await;
        self.settle(&way, outcome).await.map(written)
    }

    async fn patch_event(&self, request: Request<proto::WriteEventRequest>) -> Reply<proto::EventReply> {
        self.change(request.into_inner(), false).await
    }

    async fn update_event(&self, request: Request<proto::WriteEventRequest>) -> Reply<proto::EventReply> {
        self.change(request.into_inner(), true).await
    }

    async fn delete_event(
        &self,
        request: Request<proto::DeleteEventRequest>,
    ) -> Reply<proto::DeleteEventReply> {
        let request = request.into_inner();
        let event_id = present("event_id", &request.event_id)?;
        let delete =
            Delete { if_match: some(&request.if_match), send_updates: send_updates(&request.send_updates)? };
        let way = self.write_way(request.context.as_ref(), &request.connection_id).await?;
        let outcome = way.client.delete_event(&way.route.calendar_id, event_id, &delete).await;
        let (existed, http_status) = match self.settle(&way, outcome).await? {
            Deleted::Now => (true, 204),
            Deleted::Before => (false, 410),
            Deleted::Unknown => (false, 404),
        };
        Ok(Response::new(proto::DeleteEventReply { existed, http_status }))
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Reply<proto::WatchReply> {
        self.watch_calendar(request.into_inner()).await.map(Response::new)
    }

    async fn stop_channel(
        &self,
        request: Request<proto::StopChannelRequest>,
    ) -> Reply<proto::StopChannelReply> {
        self.stop_one(request.into_inner()).await.map(Response::new)
    }
}

impl Connector {
    fn size(&self, asked: i32) -> u32 {
        u32::try_from(asked).ok().filter(|size| *size > 0).unwrap_or(self.page_size)
    }
}
