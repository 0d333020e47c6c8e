//! `events.insert` and `events.quickAdd`.

use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Map, Value, json};

use super::Google;
use super::draft;
use super::error::ApiError;
use super::params::{Caller, WriteParams};
use super::record::Record;
use super::write::Touch;

/// E11: base32hex, 5 to 1024 characters.
pub(crate) fn check_id(id: &str) -> Result<(), ApiError> {
    let fits =
        (5..=1024).contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'v'));
    if fits { Ok(()) } else { Err(ApiError::bad_id()) }
}

/// The object that a write must carry.
pub(crate) fn object(body: &Value) -> Result<&Map<String, Value>, ApiError> {
    body.as_object().ok_or_else(|| ApiError::new(400, "global", "parseError", "Parse Error"))
}

/// What only the service writes.
pub(crate) const SERVER_OWNED: [&str; 14] = [
    "kind",
    "etag",
    "id",
    "iCalUID",
    "htmlLink",
    "created",
    "updated",
    "creator",
    "organizer",
    "hangoutLink",
    "locked",
    "privateCopy",
    "recurringEventId",
    "originalStartTime",
];

impl Google {
    /// E25 and its likes: fields that need a parameter to be touched; without it the old value stays.
    pub(crate) fn gate(
        &mut self,
        form: &mut Map<String, Value>,
        old: &Map<String, Value>,
        params: &WriteParams,
    ) {
        let gates = [
            ("conferenceData", params.conference_data_version >= 1),
            ("attachments", params.supports_attachments),
            ("eventLabelId", params.event_label_version >= 1),
        ];
        for (key, open) in gates {
            if !open {
                match old.get(key) {
                    Some(value) => form.insert(key.into(), value.clone()),
                    None => form.remove(key),
                };
            }
        }
        if params.conference_data_version >= 1 {
            self.conference(form, old);
        }
        if form.get("conferenceData").is_none_or(Value::is_null) {
            form.remove("hangoutLink");
        }
    }

    /// A `createRequest` is served at once; the same `requestId` gives the same conference.
    fn conference(&mut self, form: &mut Map<String, Value>, old: &Map<String, Value>) {
        let Some(request) = form.get("conferenceData").map(|data| data["createRequest"].clone()) else {
            return;
        };
        let Some(request_id) = request["requestId"].as_str() else { return };
        if let Some(known) = old.get("conferenceData")
            && known["createRequest"]["requestId"] == json!(request_id)
        {
            form.insert("conferenceData".into(), known.clone());
            return;
        }
        let code = self.new_id();
        let code = format!("{}-{}-{}", &code[..3], &code[3..7], &code[7..10]);
        let link = format!("https://meet.google.com/{code}");
        form.insert(
            "conferenceData".into(),
            json!({
                "createRequest": {
                    "requestId": request_id,
                    "conferenceSolutionKey": {"type": "hangoutsMeet"},
                    "status": {"statusCode": "success"},
                },
                "entryPoints": [{"entryPointType": "video", "uri": link, "label": link[8..]}],
                "conferenceSolution": {"key": {"type": "hangoutsMeet"}, "name": "Google Meet"},
                "conferenceId": code,
            }),
        );
    }

    /// `events.insert`.
    ///
    /// # Errors
    /// A bad or known id, a bad body, no access.
    pub fn insert(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        body: &Value,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        let id = self.write_access(caller, calendar)?;
        let mut form = object(body)?.clone();
        let own = form.get("id").and_then(Value::as_str).map(ToOwned::to_owned);
        let uid = form.get("iCalUID").and_then(Value::as_str).map(ToOwned::to_owned);
        if own.is_some() && uid.is_some() {
            return Err(ApiError::bad_id());
        }
        let known = self.calendar(&id)?;
        if let Some(own) = &own {
            check_id(own)?;
            // E12: deleting does not release the id.
            if known.records.contains_key(own) {
                return Err(ApiError::duplicate());
            }
        }
        if self.switches.uid_duplicate && uid.as_ref().is_some_and(|uid| known.uids.contains_key(uid)) {
            return Err(ApiError::duplicate());
        }
        let (zone, primary) = (known.zone, known.is_primary());
        form.retain(|key, _| !SERVER_OWNED.contains(&key.as_str()));
        self.gate(&mut form, &Map::new(), params);
        let draft = draft::read(&form, zone, false, &self.switches)?;
        draft::check_creation(&draft, primary)?;
        let event = match own {
            Some(own) => own,
            None => self.new_id(),
        };
        let now_ms = caller.now.timestamp_millis();
        let record = Record {
            uid: uid.unwrap_or_else(|| format!("{event}@google.com")),
            id: event,
            fields: draft.fields,
            start: draft.start,
            end: draft.end,
            series: draft.series,
            parent: None,
            original: None,
            status: draft.status,
            sequence: form.get("sequence").and_then(Value::as_i64).unwrap_or(0),
            organizer: id.clone(),
            creator: caller.account.to_owned(),
            private_copy: false,
            locked: false,
            orphan: false,
            created: now_ms,
            updated: now_ms,
            etag: 0,
            changed: 0,
            visible_from: now_ms + self.switches.visible_after_ms,
        };
        self.invite(caller, &id, None, &record, params)?;
        self.store(&id, record.clone(), now_ms, Touch::ALL);
        self.propagate(&id, &record.id, &[], params, now_ms);
        self.answer(caller, &id, &record, params)
    }

    /// `events.quickAdd`: the text becomes the summary of an hour from now.
    ///
    /// # Errors
    /// As [`Google::insert`].
    pub fn quick_add(
        &mut self,
        caller: &Caller<'_>,
        calendar: &str,
        text: &str,
        params: &WriteParams,
    ) -> Result<Value, ApiError> {
        let at = |hours| (caller.now + TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let body = json!({"summary": text, "start": {"dateTime": at(1)}, "end": {"dateTime": at(2)}});
        self.insert(caller, calendar, &body, params)
    }
}
