//! One mailbox: folders, messages, and the log of changes that delta reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ids;
use super::message::{Message, Person, seconds};
use crate::microsoft::errors::GraphError;
use crate::rng::hash_str;

/// Key of the folder that holds all others; it is not shown.
const ROOT: u32 = 1;
pub(crate) const INBOX: u32 = 2;
pub(crate) const DRAFTS: u32 = 3;
pub(crate) const SENT: u32 = 4;
pub(crate) const DELETED: u32 = 5;
/// Where Teams keeps its records; hidden.
pub(crate) const TEAMS: u32 = 12;

/// Well-known name, display name, hidden.
const WELL_KNOWN: [(u32, &str, &str, bool); 11] = [
    (INBOX, "inbox", "Inbox", false),
    (DRAFTS, "drafts", "Drafts", false),
    (SENT, "sentitems", "Sent Items", false),
    (DELETED, "deleteditems", "Deleted Items", false),
    (6, "archive", "Archive", false),
    (7, "junkemail", "Junk Email", false),
    (8, "outbox", "Outbox", false),
    (9, "conversationhistory", "Conversation History", false),
    (10, "clutter", "Clutter", true),
    (11, "syncissues", "Sync Issues", true),
    (TEAMS, "teamsmessagesdata", "TeamsMessagesData", true),
];

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) key: u32,
    pub(crate) parent: u32,
    pub(crate) name: String,
    pub(crate) hidden: bool,
    /// Messages by time of receipt.
    pub(crate) index: BTreeSet<(i64, u64)>,
    pub(crate) unread: u32,
    /// Tokens of another number are void.
    pub(crate) epoch: u32,
    /// What a void token answers.
    pub(crate) void_code: String,
}

/// What happened to a message, seen from one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    Came,
    Changed,
    /// Moved away.
    Left,
    /// Gone for good.
    Gone,
}

/// One line of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logged {
    pub(crate) seq: u64,
    pub(crate) folder: u32,
    pub(crate) key: u64,
    pub(crate) moves: u32,
    pub(crate) what: Happened,
}

/// A mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox {
    /// Makes the ids of this mailbox its own.
    pub(crate) salt: u64,
    pub(crate) owner: Person,
    pub(crate) folders: BTreeMap<u32, Folder>,
    pub(crate) messages: HashMap<u64, Message>,
    pub(crate) log: Vec<Logged>,
    /// Changes of folders: number of the change, folder.
    pub(crate) folder_log: Vec<(u64, u32)>,
    pub(crate) seq: u64,
    pub(crate) tree_epoch: u32,
    next_key: u64,
    next_folder: u32,
}

pub(crate) fn not_found() -> GraphError {
    GraphError::new(404, "ErrorItemNotFound", "The specified object was not found in the store.")
}

impl Mailbox {
    pub(crate) fn new(owner: Person) -> Self {
        let folder = |key, parent, name: &str, hidden| Folder {
            key,
            parent,
            name: name.to_owned(),
            hidden,
            index: BTreeSet::new(),
            unread: 0,
            epoch: 0,
            void_code: "SyncStateNotFound".into(),
        };
        let mut folders = BTreeMap::from([(ROOT, folder(ROOT, ROOT, "Top of Information Store", true))]);
        folders.extend(WELL_KNOWN.map(|(key, _, name, hidden)| (key, folder(key, ROOT, name, hidden))));
        Self {
            salt: hash_str(&owner.address.to_lowercase()),
            owner,
            folders,
            messages: HashMap::new(),
            log: Vec::new(),
            folder_log: Vec::new(),
            seq: 0,
            tree_epoch: 0,
            next_key: 1,
            next_folder: 100,
        }
    }

    /// Finds a folder by id or well-known name.
    pub(crate) fn folder(&self, name: &str) -> Result<u32, GraphError> {
        if name.eq_ignore_ascii_case("msgfolderroot") {
            return Ok(ROOT);
        }
        let known = WELL_KNOWN.iter().find(|(_, known, ..)| known.eq_ignore_ascii_case(name));
        let key = known.map(|(key, ..)| *key).or_else(|| ids::parse_folder(name, self.salt));
        key.filter(|key| self.folders.contains_key(key)).ok_or_else(|| {
            if name.starts_with("AQMk") {
                not_found()
            } else {
                GraphError::new(400, "ErrorInvalidIdMalformed", "Id is malformed.")
            }
        })
    }

    pub(crate) fn well_known_name(key: u32) -> Option<&'static str> {
        WELL_KNOWN.iter().find(|(known, ..)| *known == key).map(|(_, name, ..)| *name)
    }

    /// Finds a live message by any of its ids.
    pub(crate) fn find(&self, id: &str) -> Result<u64, GraphError> {
        let Some(parsed) = ids::parse_message(id, self.salt) else {
            let looks = id.starts_with("AAMk") || id.starts_with("AAkA");
            return Err(if looks {
                not_found()
            } else {
                GraphError::new(400, "ErrorInvalidIdMalformed", "Id is malformed.")
            });
        };
        let message = self.messages.get(&parsed.key).ok_or_else(not_found)?;
        match parsed.moves {
            Some(moves) if moves != message.moves => Err(not_found()),
            _ => Ok(parsed.key),
        }
    }

    fn note(&mut self, folder: u32, key: u64, moves: u32, what: Happened) {
        self.log.push(Logged { seq: self.seq, folder, key, moves, what });
    }

    fn enter(&mut self, folder: u32, received: i64, key: u64, read: bool) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.index.insert((received, key));
            folder.unread += u32::from(!read);
        }
    }

    fn leave(&mut self, folder: u32, received: i64, key: u64, read: bool) {
        if let Some(folder) = self.folders.get_mut(&folder) {
            folder.index.remove(&(received, key));
            folder.unread = folder.unread.saturating_sub(u32::from(!read));
        }
    }

    /// Puts a new message into a folder.
    pub(crate) fn put(&mut self, folder: u32, mut message: Message) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        self.seq += 1;
        (message.key, message.folder, message.seq) = (key, folder, self.seq);
        if message.internet_message_id.is_empty() {
            message.internet_message_id = format!("<{:016x}{key:08x}@emulator.example>", self.salt);
        }
        self.enter(folder, message.received_ms, key, message.is_read);
        self.note(folder, key, message.moves, Happened::Came);
        self.messages.insert(key, message);
        key
    }

    /// Changes a message where it is.
    pub(crate) fn change<T>(
        &mut self,
        key: u64,
        now: i64,
        change: impl FnOnce(&mut Message) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let mut message = self.messages.get(&key).cloned().ok_or_else(not_found)?;
        let before = (message.folder, message.received_ms, message.is_read);
        let answer = change(&mut message)?;
        self.seq += 1;
        (message.seq, message.modified_ms) = (self.seq, now);
        self.leave(before.0, before.1, key, before.2);
        self.enter(message.folder, message.received_ms, key, message.is_read);
        self.note(message.folder, key, message.moves, Happened::Changed);
        self.messages.insert(key, message);
        Ok(answer)
    }

    /// Moves a message; its default id is another one afterwards. True when it was elsewhere.
    pub(crate) fn shift(&mut self, key: u64, to: u32, now: i64) -> Result<bool, GraphError> {
        let message = self.messages.get_mut(&key).ok_or_else(not_found)?;
        let (from, received, read, moves) =
            (message.folder, message.received_ms, message.is_read, message.moves);
        if from == to {
            return Ok(false);
        }
        self.seq += 1;
        message.folder = to;
        message.moves += 1;
        (message.seq, message.modified_ms) = (self.seq, now);
        self.leave(from, received, key, read);
        self.enter(to, received, key, read);
        self.note(from, key, moves, Happened::Left);
        self.note(to, key, moves + 1, Happened::Came);
        Ok(true)
    }

    /// Removes a message for good.
    pub(crate) fn purge(&mut self, key: u64) -> Result<Message, GraphError> {
        let message = self.messages.remove(&key).ok_or_else(not_found)?;
        self.seq += 1;
        self.leave(message.folder, message.received_ms, key, message.is_read);
        self.note(message.folder, key, message.moves, Happened::Gone);
        Ok(message)
    }

    /// Makes a folder below another one.
    pub(crate) fn add_folder(&mut self, parent: u32, name: &str, hidden: bool) -> Result<u32, GraphError> {
        let twin = |folder: &Folder| folder.parent == parent && folder.name.eq_ignore_ascii_case(name);
        if self.folders.values().any(twin) {
            return Err(GraphError::new(
                409,
                "ErrorFolderExists",
                "A folder with the specified name already exists.",
            ));
        }
        let key = self.next_folder;
        self.next_folder += 1;
        let model = self.folders[&INBOX].clone();
        let folder = Folder {
            key,
            parent,
            name: name.to_owned(),
            hidden,
            index: BTreeSet::new(),
            unread: 0,
            epoch: 0,
            void_code: model.void_code,
        };
        self.folders.insert(key, folder);
        self.touch_folder(key);
        Ok(key)
    }

    /// Writes a change of a folder into the log.
    pub(crate) fn touch_folder(&mut self, key: u32) {
        self.seq += 1;
        self.folder_log.push((self.seq, key));
    }

    /// Removes a folder with all that is in it and below it.
    pub(crate) fn drop_folder(&mut self, key: u32) -> Result<(), GraphError> {
        if Self::well_known_name(key).is_some() || key == ROOT {
            return Err(GraphError::new(
                403,
                "ErrorDeleteDistinguishedFolder",
                "Distinguished folders cannot be deleted.",
            ));
        }
        let below: Vec<u32> =
            self.folders.values().filter(|folder| folder.parent == key).map(|folder| folder.key).collect();
        for child in below {
            self.drop_folder(child)?;
        }
        let inside: Vec<u64> =
            self.folders.get(&key).ok_or_else(not_found)?.index.iter().map(|at| at.1).collect();
        for message in inside {
            self.purge(message)?;
        }
        self.folders.remove(&key);
        self.touch_folder(key);
        Ok(())
    }

    /// A folder as Graph shows it.
    pub(crate) fn folder_json(&self, key: u32) -> Option<serde_json::Value> {
        let folder = self.folders.get(&key)?;
        let children = self.folders.values().filter(|one| one.parent == key && one.key != key && !one.hidden);
        Some(serde_json::json!({
            "id": ids::folder(self.salt, key),
            "displayName": folder.name,
            "parentFolderId": ids::folder(self.salt, folder.parent),
            "childFolderCount": children.count(),
            "unreadItemCount": folder.unread,
            "totalItemCount": folder.index.len(),
            "sizeInBytes": folder.index.len() * 1024,
            "isHidden": folder.hidden,
        }))
    }

    /// Direct children of a folder, by key.
    pub(crate) fn children(&self, parent: Option<u32>, hidden: bool) -> Vec<u32> {
        let parent = parent.unwrap_or(ROOT);
        let shown =
            |folder: &&Folder| folder.parent == parent && folder.key != ROOT && (hidden || !folder.hidden);
        self.folders.values().filter(shown).map(|folder| folder.key).collect()
    }

    /// All folders but the root.
    pub(crate) fn all_folders(&self) -> impl Iterator<Item = &Folder> {
        self.folders.values().filter(|folder| folder.key != ROOT)
    }

    /// Voids tokens: of one folder, or of all folders and of the folder tree.
    pub(crate) fn void_tokens(&mut self, folder: Option<u32>, code: &str) {
        if folder.is_none() {
            self.tree_epoch += 1;
        }
        for one in self.folders.values_mut().filter(|one| folder.is_none_or(|wanted| wanted == one.key)) {
            one.epoch += 1;
            code.clone_into(&mut one.void_code);
        }
    }

    /// A canonical record of one message, to compare with a database.
    pub(crate) fn record(&self, message: &Message) -> serde_json::Value {
        serde_json::json!({
            "id": ids::message(self.salt, message.key, message.moves, true),
            "default_id": ids::message(self.salt, message.key, message.moves, false),
            "folder": ids::folder(self.salt, message.folder),
            "folder_name": self.folders.get(&message.folder).map(|folder| folder.name.clone()),
            "internet_message_id": message.internet_message_id,
            "subject": message.subject,
            "from": message.from.as_ref().map(|person| person.address.clone()),
            "to": message.to.iter().map(|person| person.address.clone()).collect::<Vec<_>>(),
            "received_at": seconds(message.received_ms),
            "is_read": message.is_read,
            "is_draft": message.is_draft,
            "attachments": message.attachments.iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
        })
    }
}
