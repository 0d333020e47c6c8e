//! The organisation: people with their mailboxes, teams, chats, and what became of all of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::calendar::Calendar;
use super::ids::uuid_of;
use super::mailbox::{self, Mailbox};
use super::message::{Message, Person};
use super::switches::Switches;
use super::teams::{Chat, Team};
use super::usage::Usage;
use super::workflow::Workflows;
use crate::microsoft::errors::GraphError;

/// Changes that wait for notifications; more are lost, as in a service that is down.
const MAX_CHANGES: usize = 200_000;

/// A person of the directory.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) upn: String,
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) mailbox: Mailbox,
    pub(crate) calendar: Calendar,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    Mail { user: String, folder: u32, key: u64, moves: u32 },
    Event { user: String, id: String },
    Channel { team: String, channel: String, root: String, reply: Option<String> },
    Chat { chat: String, message: String },
}

/// A change, and how it is called in a notification.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) topic: Topic,
    pub(crate) kind: &'static str,
}

/// A mail that left.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outgoing {
    pub(crate) number: usize,
    pub(crate) time_ms: i64,
    pub(crate) user: String,
    /// `send` or `sendMail`.
    pub(crate) via: &'static str,
    pub(crate) message_id: String,
    pub(crate) internet_message_id: String,
    pub(crate) subject: String,
    pub(crate) to: Vec<String>,
    pub(crate) attachments: Vec<Value>,
    pub(crate) extended: BTreeMap<String, String>,
}

/// Everything of the Microsoft side that is not a drive.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) teams: BTreeMap<String, Team>,
    pub(crate) chats: BTreeMap<String, Chat>,
    pub(crate) switches: Switches,
    /// Permissions that were taken from all applications.
    pub(crate) denied: BTreeSet<String>,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) workflows: Workflows,
    pub(crate) usage: Usage,
    changes: Vec<Change>,
    serial: u64,
}

impl Office {
    /// The small population that everything starts with.
    pub(crate) fn new(now: i64) -> Self {
        let mut office = Self {
            users: BTreeMap::new(),
            teams: BTreeMap::new(),
            chats: BTreeMap::new(),
            switches: Switches::default(),
            denied: BTreeSet::new(),
            outgoing: Vec::new(),
            workflows: Workflows::default(),
            usage: Usage::default(),
            changes: Vec::new(),
            serial: 0,
        };
        for (name, upn) in [
            ("Ada Byron", "ada@example.org"),
            ("Ben Carter", "ben@example.org"),
            ("Eve Duval", "eve@example.org"),
        ] {
            office.add_user(upn, name);
        }
        let team = office.add_team("Projects", now);
        office.add_channel(&team, "General", now);
        office.add_chat("Site visit", &["ada@example.org", "ben@example.org"], now);
        office.changes.clear();
        office
    }

    /// A number that was never given out before.
    pub(crate) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Adds a person, or gives the id of the one who is there.
    pub(crate) fn add_user(&mut self, upn: &str, name: &str) -> String {
        let id = uuid_of(&upn.to_lowercase());
        let owner = Person { name: name.to_owned(), address: upn.to_owned() };
        self.users.entry(id.clone()).or_insert_with(|| User {
            id: id.clone(),
            upn: upn.to_owned(),
            name: name.to_owned(),
            enabled: true,
            mailbox: Mailbox::new(owner),
            calendar: Calendar::default(),
        });
        id
    }

    /// Finds a person by id or address.
    pub(crate) fn user_id(&self, who: &str) -> Result<String, GraphError> {
        if self.users.contains_key(who) {
            return Ok(who.to_owned());
        }
        let by_address = uuid_of(&who.to_lowercase());
        if self.users.contains_key(&by_address) {
            return Ok(by_address);
        }
        Err(GraphError::new(404, "ErrorInvalidUser", format!("The requested user '{who}' is invalid.")))
    }

    pub(crate) fn user(&self, who: &str) -> Result<&User, GraphError> {
        let id = self.user_id(who)?;
        self.users.get(&id).ok_or_else(mailbox::not_found)
    }

    pub(crate) fn user_mut(&mut self, who: &str) -> Result<&mut User, GraphError> {
        let id = self.user_id(who)?;
        self.users.get_mut(&id).ok_or_else(mailbox::not_found)
    }

    /// Remembers a change for those who subscribed.
    pub(crate) fn emit(&mut self, topic: Topic, kind: &'static str) {
        if self.changes.len() < MAX_CHANGES {
            self.changes.push(Change { topic, kind });
        }
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    fn mail_topic(&self, user: &str, key: u64) -> Option<Topic> {
        let message = self.users.get(user)?.mailbox.messages.get(&key)?;
        Some(Topic::Mail { user: user.to_owned(), folder: message.folder, key, moves: message.moves })
    }

    /// Puts a mail into a folder and says so.
    pub(crate) fn put_mail(&mut self, user: &str, folder: u32, message: Message) -> Result<u64, GraphError> {
        let key = self.user_mut(user)?.mailbox.put(folder, message);
        if let Some(topic) = self.mail_topic(user, key) {
            self.emit(topic, "created");
        }
        Ok(key)
    }

    /// Changes a mail where it is.
    pub(crate) fn change_mail(
        &mut self,
        user: &str,
        key: u64,
        now: i64,
        change: impl FnOnce(&mut Message) -> Result<(), GraphError>,
    ) -> Result<(), GraphError> {
        self.user_mut(user)?.mailbox.change(key, now, change)?;
        if let Some(topic) = self.mail_topic(user, key) {
            self.emit(topic, "updated");
        }
        Ok(())
    }

    /// Moves a mail: deleted there, created here.
    pub(crate) fn move_mail(&mut self, user: &str, key: u64, to: u32, now: i64) -> Result<(), GraphError> {
        let before = self.mail_topic(user, key);
        if self.user_mut(user)?.mailbox.shift(key, to, now)? {
            if let Some(topic) = before {
                self.emit(topic, "deleted");
            }
            if let Some(topic) = self.mail_topic(user, key) {
                self.emit(topic, "created");
            }
        }
        Ok(())
    }

    /// Removes a mail: into Deleted Items first, for good from there or when `forever`.
    pub(crate) fn delete_mail(
        &mut self,
        user: &str,
        key: u64,
        forever: bool,
        now: i64,
    ) -> Result<(), GraphError> {
        let place = self.user(user)?.mailbox.messages.get(&key).ok_or_else(mailbox::not_found)?.folder;
        if !forever && place != mailbox::DELETED {
            return self.move_mail(user, key, mailbox::DELETED, now);
        }
        let topic = self.mail_topic(user, key);
        self.user_mut(user)?.mailbox.purge(key)?;
        if let Some(topic) = topic {
            self.emit(topic, "deleted");
        }
        Ok(())
    }

    /// Brings a mail that left into the inboxes of the recipients who are here.
    pub(crate) fn deliver(&mut self, sent: &Message, now: i64) {
        let mut seen = BTreeSet::new();
        let addresses: Vec<String> = sent.recipients().map(|person| person.address.clone()).collect();
        for address in addresses {
            let Ok(user) = self.user_id(&address) else { continue };
            if !seen.insert(user.clone()) {
                continue;
            }
            let mut copy = sent.clone();
            copy.extended.clear();
            copy.bcc.clear();
            (copy.is_draft, copy.is_read, copy.moves) = (false, false, 0);
            (copy.created_ms, copy.modified_ms, copy.received_ms) = (now, now, now);
            // The recipient exists: it was found just now.
            let _ = self.put_mail(&user, mailbox::INBOX, copy);
        }
    }
}
