//! Outlook's default calendar (calendar view delta, event resource; Graph v1.0; provider facts A4). Events stay the JSON
//! that Graph sent: what is in them is for the rules to say. Every request asks for immutable ids.

use chrono::{DateTime, Utc};
use domain::names::encode_segment;
use outbound::http::Request;
use outbound::provider::Call;
use outbound::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use crate::client::{GraphClient, found, reads, writes};
use crate::error::{GraphError, GraphErrorKind};
use crate::mail::{immutable, paged, written};
use crate::page::{ChangePage, listed};

const DELTA: Call = reads("calendar_delta");
const READ: Call = reads("event");
const FIND: Call = reads("event_find");
const INSTANCES: Call = reads("event_instances");
const CREATE: Call = writes("event_create");
const UPDATE: Call = writes("event_update");
const DELETE: Call = writes("event_delete");

/// Events a page. Series bring more than was asked for (provider facts A4).
const PAGE: u32 = 100;
/// Longest transaction id.
const MAX_TRANSACTION: usize = 64;
const IF_MATCH: HeaderName = HeaderName::from_static("if-match");

/// The extended property that carries the transaction id, by which an event is found again: `transactionId` itself
/// cannot be filtered by (singlevaluelegacyextendedproperty, Graph v1.0).
const MARK: &str = "String {00020329-0000-0000-c000-000000000046} Name SynclineTransactionId";

/// Every property of an event, and the two lists of a series, which are told only when they are named.
const SERIES: &str = "$select=id,createdDateTime,lastModifiedDateTime,changeKey,categories,transactionId,\
originalStartTimeZone,originalEndTimeZone,iCalUId,reminderMinutesBeforeStart,isReminderOn,hasAttachments,subject,\
bodyPreview,importance,sensitivity,isAllDay,isCancelled,isOrganizer,responseRequested,seriesMasterId,showAs,type,\
webLink,onlineMeetingUrl,isOnlineMeeting,onlineMeetingProvider,allowNewTimeProposals,originalStart,isDraft,hideAttendees,\
responseStatus,body,start,end,location,locations,recurrence,attendees,organizer,onlineMeeting,\
exceptionOccurrences,cancelledOccurrences&$expand=exceptionOccurrences";

fn event(raw: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    match value["id"].as_str() {
        Some(id) if !id.is_empty() => Ok(value),
        _ => Err("the event has no id".to_owned()),
    }
}

/// Checks a transaction id, which stands in a filter: it must not be able to end a text there.
fn transaction(operation: &'static str, id: &str) -> Result<(), GraphError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if (1..=MAX_TRANSACTION).contains(&id.len()) && id.chars().all(good) {
        return Ok(());
    }
    let message = format!("transaction_id must have 1 to {MAX_TRANSACTION} letters, digits, - or _");
    Err(GraphError::own(operation, GraphErrorKind::Refused, "invalidRequest", message, None))
}

/// A request that is carried out only while the event has this version.
fn matching(request: Request, etag: Option<&str>) -> Request {
    match etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        Some(value) => request.header(IF_MATCH, value),
        None => request,
    }
}

fn path(user: &str, id: &str) -> String {
    format!("/users/{}/events/{}", encode_segment(user), encode_segment(id))
}

impl GraphClient {
    /// One page of the changes of a window of time; `link` continues, verbatim.
    ///
    /// # Errors
    /// [`GraphError`]; `Resync` when the cursor is gone.
    pub async fn calendar_delta(
        &self,
        user: &str,
        link: Option<&str>,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<ChangePage<Value>, GraphError> {
        let operation = DELTA.operation;
        let url = if let Some(link) = link {
            self.link(operation, link)?
        } else {
            let mut url =
                self.url(operation, &format!("/users/{}/calendarView/delta", encode_segment(user)))?;
            let window = format!("startDateTime={}&endDateTime={}", written(from), written(to));
            url.set_query(Some(&window));
            url
        };
        let decode = |body: &[u8]| listed(body, event);
        self.fetch(&DELTA, paged(Request::get(url), PAGE), link.is_some(), decode).await?.changes(operation)
    }

    /// One event; with `series`, together with its `exceptionOccurrences` and `cancelledOccurrences`. `None` when there
    /// is none.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn event(&self, user: &str, id: &str, series: bool) -> Result<Option<Value>, GraphError> {
        let mut url = self.url(READ.operation, &path(user, id))?;
        url.set_query(series.then_some(SERIES));
        let request = immutable(Request::get(url));
        found(self.fetch(&READ, request, false, |body| serde_json::from_slice(body)).await)
    }

    /// The event that a create with this transaction id made.
    ///
    /// # Errors
    /// [`GraphError`].
    pub async fn find_event(&self, user: &str, transaction_id: &str) -> Result<Option<Value>, GraphError> {
        transaction(FIND.operation, transaction_id)?;
        let mut url = self.url(FIND.operation, &format!("/users/{}/events", encode_segment(user)))?;
        let filter = format!(
            "singleValueExtendedProperties/Any(ep: ep/id eq '{MARK}' and ep/value eq '{transaction_id}')"
        );
        url.set_query(Some(&format!("$top=1&$filter={filter}")));
        let request = immutable(Request::get(url));
        let page = self.fetch(&FIND, request, false, |body| listed(body, event)).await?;
        Ok(page.items.into_iter().next())
    }

    /// Occurrences and exceptions of a series that fall into a window; at most a page.
    ///
    /// # Errors
    /// [`GraphError`]; `NotFound` when there is no such series.
    pub async fn event_instances(
        &self,
        user: &str,
        master: &str,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Vec<Value>, GraphError> {
        let mut url = self.url(INSTANCES.operation, &format!("{}/instances", path(user, master)))?;
        let window = format!("startDateTime={}&endDateTime={}", written(from), written(to));
        url.set_query(Some(&window));
        let request = paged(Request::get(url), PAGE);
        let page = self.fetch(&INSTANCES, request, false, |body| listed(body, event)).await?;
        Ok(page.items)
    }

    /// Makes an event that carries the transaction id. Where Graph says that the id is used up, the event that it made is
    /// answered.
    ///
    /// # Errors
    /// [`GraphError`]; `Ambiguous` when it may exist: look for it with [`GraphClient::find_event`], or create again with
    /// the same id.
    pub async fn create_event(
        &self,
        user: &str,
        transaction_id: &str,
        mut body: Map<String, Value>,
    ) -> Result<Value, GraphError> {
        transaction(CREATE.operation, transaction_id)?;
        body.insert("transactionId".to_owned(), json!(transaction_id));
        let mark = json!([{ "id": MARK, "value": transaction_id }]);
        body.insert("singleValueExtendedProperties".to_owned(), mark);
        let url = self.url(CREATE.operation, &format!("/users/{}/events", encode_segment(user)))?;
        let request = immutable(Self::request(Method::POST, url));
        let outcome = self.write_json(&CREATE, request, &body).await.map_err(GraphError::of_write);
        match outcome {
            Err(error) if error.status == Some(409) => {
                self.find_event(user, transaction_id).await?.ok_or(error)
            }
            outcome => outcome,
        }
    }

    /// Changes an event, while it has the version `etag`.
    ///
    /// # Errors
    /// [`GraphError`]; status 412 when it has another version, `Ambiguous` when it may have been changed.
    pub async fn update_event(
        &self,
        user: &str,
        id: &str,
        body: &Map<String, Value>,
        etag: Option<&str>,
    ) -> Result<Value, GraphError> {
        let url = self.url(UPDATE.operation, &path(user, id))?;
        let request = matching(immutable(Self::request(Method::PATCH, url)), etag);
        self.write_json(&UPDATE, request, body).await.map_err(GraphError::of_write)
    }

    /// Deletes an event, while it has the version `etag`; false when it was gone already.
    ///
    /// # Errors
    /// As [`GraphClient::update_event`].
    pub async fn delete_event(&self, user: &str, id: &str, etag: Option<&str>) -> Result<bool, GraphError> {
        let url = self.url(DELETE.operation, &path(user, id))?;
        let request = matching(immutable(Self::request(Method::DELETE, url)), etag);
        let outcome = self.send(&DELETE, request, false).await.map_err(GraphError::of_write);
        Ok(found(outcome)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_ids_cannot_end_a_filter() {
        for good in ["01j", "a-b_C", &"x".repeat(64)] {
            assert!(transaction("x", good).is_ok(), "{good}");
        }
        for bad in ["", "a'b", "a b", "é", &"x".repeat(65)] {
            assert!(transaction("x", bad).is_err(), "{bad}");
        }
        assert!(event("{}").is_err() && event("7").is_err() && event(r#"{"id":"a"}"#).is_ok());
    }
}
