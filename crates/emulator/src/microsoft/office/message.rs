//! A mail: its properties, from and to Graph's JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

use crate::microsoft::errors::GraphError;
use crate::microsoft::office::ids;
use crate::rng::hash_str;

/// Characters of `bodyPreview`.
const PREVIEW: usize = 255;

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Person {
    pub(crate) fn of(address: &str) -> Self {
        let name = address.split('@').next().unwrap_or(address);
        Self { name: name.to_owned(), address: address.to_owned() }
    }

    pub(crate) fn json(&self) -> Value {
        json!({"emailAddress": {"name": self.name, "address": self.address}})
    }

    fn parse(value: &Value) -> Option<Self> {
        let mail = &value["emailAddress"];
        let address = mail["address"].as_str()?.to_owned();
        let name = mail["name"].as_str().map_or_else(|| Self::of(&address).name, ToOwned::to_owned);
        Some(Self { name, address })
    }
}

/// A file in a mail.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    pub(crate) number: u32,
    pub(crate) name: String,
    pub(crate) content_type: String,
    pub(crate) inline: bool,
    pub(crate) bytes: Bytes,
    pub(crate) modified_ms: i64,
}

impl Attachment {
    pub(crate) fn parse(value: &Value, number: u32, now: i64) -> Result<Self, GraphError> {
        let invalid = |text: &str| GraphError::new(400, "ErrorInvalidRequest", text);
        let name = value["name"].as_str().ok_or_else(|| invalid("The attachment needs a name."))?;
        let bytes = value["contentBytes"]
            .as_str()
            .and_then(|text| STANDARD.decode(text).ok())
            .ok_or_else(|| invalid("contentBytes must be base64."))?;
        Ok(Self {
            number,
            name: name.to_owned(),
            content_type: value["contentType"].as_str().unwrap_or("application/octet-stream").to_owned(),
            inline: value["isInline"].as_bool().unwrap_or_default(),
            bytes: bytes.into(),
            modified_ms: now,
        })
    }

    pub(crate) fn json(&self, message_id: &str, with_bytes: bool) -> Value {
        let mut value = json!({
            "@odata.type": "#microsoft.graph.fileAttachment",
            "@odata.mediaContentType": self.content_type,
            "id": self.id(message_id),
            "lastModifiedDateTime": seconds(self.modified_ms),
            "name": self.name,
            "contentType": self.content_type,
            "size": self.bytes.len(),
            "isInline": self.inline,
            "contentId": null,
            "contentLocation": null,
        });
        if with_bytes {
            value["contentBytes"] = json!(STANDARD.encode(&self.bytes));
        }
        value
    }

    pub(crate) fn id(&self, message_id: &str) -> String {
        format!("{}{:04}=", message_id.trim_end_matches('='), self.number)
    }
}

/// One mail in one mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) key: u64,
    pub(crate) folder: u32,
    /// How often it changed its folder.
    pub(crate) moves: u32,
    /// Number of its last change in the mailbox.
    pub(crate) seq: u64,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    pub(crate) received_ms: i64,
    pub(crate) sent_ms: i64,
    pub(crate) subject: String,
    pub(crate) html: bool,
    pub(crate) body: String,
    pub(crate) from: Option<Person>,
    pub(crate) to: Vec<Person>,
    pub(crate) cc: Vec<Person>,
    pub(crate) bcc: Vec<Person>,
    pub(crate) reply_to: Vec<Person>,
    pub(crate) internet_message_id: String,
    pub(crate) importance: String,
    pub(crate) categories: Vec<String>,
    pub(crate) flag: String,
    pub(crate) is_read: bool,
    pub(crate) is_draft: bool,
    /// `singleValueExtendedProperties`: id and value.
    pub(crate) extended: Vec<(String, String)>,
    pub(crate) attachments: Vec<Attachment>,
}

/// A date as Outlook writes it.
pub(crate) fn seconds(ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        crate::microsoft::json::hex(&mut out, u64::from(*byte), 2);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The text of a piece of HTML.
pub(crate) fn plain(html: &str) -> String {
    let (mut text, mut inside) = (String::with_capacity(html.len()), false);
    for letter in html.chars() {
        match letter {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    text.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

impl Message {
    /// An empty draft of `owner`.
    pub(crate) fn draft(owner: &Person, now: i64) -> Self {
        Self {
            key: 0,
            folder: 0,
            moves: 0,
            seq: 0,
            created_ms: now,
            modified_ms: now,
            received_ms: now,
            sent_ms: now,
            subject: String::new(),
            html: false,
            body: String::new(),
            from: Some(owner.clone()),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            internet_message_id: String::new(),
            importance: "normal".into(),
            categories: Vec::new(),
            flag: "notFlagged".into(),
            is_read: true,
            is_draft: true,
            extended: Vec::new(),
            attachments: Vec::new(),
        }
    }

    /// Takes the properties that a request names. Of a mail that left, only marks can be changed.
    pub(crate) fn apply(&mut self, body: &Value, now: i64) -> Result<(), GraphError> {
        let text = |name: &str| body[name].as_str().map(ToOwned::to_owned);
        let strings = |value: &Value| -> Option<Vec<String>> {
            Some(value.as_array()?.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect())
        };
        if let Some(read) = body["isRead"].as_bool() {
            self.is_read = read;
        }
        if let Some(importance) = text("importance") {
            self.importance = importance;
        }
        if let Some(categories) = strings(&body["categories"]) {
            self.categories = categories;
        }
        if let Some(flag) = body["flag"]["flagStatus"].as_str() {
            flag.clone_into(&mut self.flag);
        }
        for property in body["singleValueExtendedProperties"].as_array().into_iter().flatten() {
            let (Some(id), Some(value)) = (property["id"].as_str(), property["value"].as_str()) else {
                return Err(GraphError::new(
                    400,
                    "ErrorInvalidProperty",
                    "An extended property needs id and value.",
                ));
            };
            self.extended.retain(|(known, _)| known != id);
            self.extended.push((id.to_owned(), value.to_owned()));
        }
        let content = ["subject", "body", "toRecipients", "ccRecipients", "bccRecipients", "from", "replyTo"];
        if !self.is_draft && content.iter().any(|name| !body[name].is_null()) {
            return Err(GraphError::new(
                400,
                "ErrorInvalidPropertySet",
                "The property can be set only on a draft message.",
            ));
        }
        if let Some(subject) = text("subject") {
            self.subject = subject;
        }
        if let Some(content) = body["body"]["content"].as_str() {
            content.clone_into(&mut self.body);
            self.html =
                body["body"]["contentType"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
        }
        for (name, list) in [
            ("toRecipients", &mut self.to),
            ("ccRecipients", &mut self.cc),
            ("bccRecipients", &mut self.bcc),
            ("replyTo", &mut self.reply_to),
        ] {
            if let Some(people) = body[name].as_array() {
                *list = people.iter().filter_map(Person::parse).collect();
            }
        }
        if let Some(from) = Person::parse(&body["from"]) {
            self.from = Some(from);
        }
        if let Some(id) = text("internetMessageId") {
            self.internet_message_id = id;
        }
        for attachment in body["attachments"].as_array().into_iter().flatten() {
            let number = self.next_attachment();
            self.attachments.push(Attachment::parse(attachment, number, now)?);
        }
        self.modified_ms = now;
        Ok(())
    }

    pub(crate) fn next_attachment(&self) -> u32 {
        self.attachments.iter().map(|one| one.number).max().unwrap_or_default() + 1
    }

    /// All people whom it goes to.
    pub(crate) fn recipients(&self) -> impl Iterator<Item = &Person> {
        self.to.iter().chain(&self.cc).chain(&self.bcc)
    }

    fn conversation(&self, salt: u64) -> String {
        let subject = self.subject.to_lowercase();
        let stem = subject.trim_start_matches("re: ").trim_start_matches("fw: ").to_owned();
        format!("AAQkAD{:016x}{salt:016x}AQAA=", hash_str(&stem))
    }

    /// The mail as Graph shows it. `text_body` for `Prefer: outlook.body-content-type="text"`.
    pub(crate) fn json(&self, salt: u64, immutable: bool, text_body: bool) -> Map<String, Value> {
        let id = ids::message(salt, self.key, self.moves, immutable);
        let change_key = format!("CQAAABYAAAD{:012x}", self.seq);
        let people = |list: &[Person]| list.iter().map(Person::json).collect::<Vec<_>>();
        let (kind, content) = match (self.html, text_body) {
            (true, true) => ("text", plain(&self.body)),
            (true, false) => ("html", self.body.clone()),
            (false, _) => ("text", self.body.clone()),
        };
        let preview: String =
            if self.html { plain(&self.body) } else { self.body.clone() }.chars().take(PREVIEW).collect();
        let value = json!({
            "@odata.etag": format!("W/\"{change_key}\""),
            "id": id,
            "createdDateTime": seconds(self.created_ms),
            "lastModifiedDateTime": seconds(self.modified_ms),
            "changeKey": change_key,
            "categories": self.categories,
            "receivedDateTime": seconds(self.received_ms),
            "sentDateTime": seconds(self.sent_ms),
            "hasAttachments": self.attachments.iter().any(|one| !one.inline),
            "internetMessageId": self.internet_message_id,
            "subject": self.subject,
            "bodyPreview": preview,
            "importance": self.importance,
            "parentFolderId": ids::folder(salt, self.folder),
            "conversationId": self.conversation(salt),
            "isDeliveryReceiptRequested": false,
            "isReadReceiptRequested": false,
            "isRead": self.is_read,
            "isDraft": self.is_draft,
            "webLink": format!("https://outlook.office365.com/owa/?ItemID={id}&exvsurl=1&viewmodel=ReadMessageItem"),
            "inferenceClassification": "focused",
            "body": {"contentType": kind, "content": content},
            "sender": self.from.as_ref().map(Person::json),
            "from": self.from.as_ref().map(Person::json),
            "toRecipients": people(&self.to),
            "ccRecipients": people(&self.cc),
            "bccRecipients": people(&self.bcc),
            "replyTo": people(&self.reply_to),
            "flag": {"flagStatus": self.flag},
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}
