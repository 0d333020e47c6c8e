//! Mail, Teams and subscriptions of graph-connector over a state in memory, that behaves as Graph does where that hurts:
//! feeds per folder in pages of two, moves that are a removal here and a report there, moves there and back that are
//! only a removal, tokens that are lost, answers that are lost.

mod mail;
mod subscriptions;
pub mod teams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chassis::time::SystemClock;
use contracts::graph::v1 as pb;
use contracts::graph::v1::graph_mail_server::GraphMailServer;
use contracts::graph::v1::graph_subscriptions_server::GraphSubscriptionsServer;
use contracts::graph::v1::graph_teams_server::GraphTeamsServer;
use domain::time::Clock;
use tonic::service::Routes;
use tonic::{Response, Status};

pub type Answer<T> = Result<Response<T>, Status>;

/// Which answer is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lost {
    #[default]
    Nothing,
    /// The effect happened.
    AfterEffect,
}

/// What the provider holds.
#[derive(Debug, Default)]
pub struct State {
    /// Folders by id: name.
    pub folders: BTreeMap<String, String>,
    pub messages: BTreeMap<String, pb::MailMessage>,
    /// (folder, message, removed)
    pub log: Vec<(String, String, bool)>,
    /// Folders whose token is gone.
    pub lost_tokens: BTreeSet<String>,
    /// (outbox id, draft id)
    pub drafts: BTreeMap<String, String>,
    pub sent: Vec<String>,
    pub files: Vec<(String, usize)>,
    pub lose: Lost,
    pub roots: BTreeMap<String, pb::TeamsMessage>,
    pub replies: BTreeMap<String, Vec<pb::TeamsMessage>>,
    pub chat: Vec<pb::TeamsMessage>,
    pub cards: Vec<String>,
    pub subscriptions: Vec<pb::ProviderSubscription>,
    pub reauthorized: usize,
    /// Names of the calls that came.
    pub calls: Vec<&'static str>,
}

/// The three services; clones are one.
#[derive(Debug, Clone, Default)]
pub struct FakeGraph(Arc<Mutex<State>>);

impl FakeGraph {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn serve(&self, routes: Routes) -> Routes {
        routes
            .add_service(GraphMailServer::new(self.clone()))
            .add_service(GraphTeamsServer::new(self.clone()))
            .add_service(GraphSubscriptionsServer::new(self.clone()))
    }

    fn called(&self, name: &'static str) -> MutexGuard<'_, State> {
        let mut state = self.state();
        state.calls.push(name);
        state
    }
}

impl State {
    /// A message arrives.
    pub fn arrive(&mut self, folder: &str, id: &str) {
        let now = chrono_us();
        let message = pb::MailMessage {
            id: id.to_owned(),
            folder_id: Some(folder.to_owned()),
            subject: Some(format!("Subject of {id}")),
            from: Some(pb::MailAddress { name: "Ann".to_owned(), address: "ann@example.com".to_owned() }),
            body_preview: Some("Hello".to_owned()),
            e_tag: Some("1".to_owned()),
            received_at_us: Some(now),
            modified_at_us: Some(now),
            lists_reported: true,
            ..pb::MailMessage::default()
        };
        self.messages.insert(id.to_owned(), message);
        self.log.push((folder.to_owned(), id.to_owned(), false));
    }

    /// A message moves: a removal here, a report there.
    pub fn shift(&mut self, id: &str, to: &str) {
        let message = self.messages.get_mut(id).expect("a message");
        let from = message.folder_id.replace(to.to_owned()).expect("a folder");
        message.e_tag = Some(format!("{}+", message.e_tag.clone().unwrap_or_default()));
        self.log.push((from, id.to_owned(), true));
        self.log.push((to.to_owned(), id.to_owned(), false));
    }

    /// There and back between two looks: only the removal is reported.
    pub fn there_and_back(&mut self, id: &str) {
        let home = self.messages[id].folder_id.clone().expect("a folder");
        self.log.push((home, id.to_owned(), true));
    }

    /// A message is deleted.
    pub fn delete(&mut self, id: &str) {
        let folder = self.messages.remove(id).and_then(|m| m.folder_id).expect("a folder");
        self.log.push((folder, id.to_owned(), true));
    }
}

/// Now, in microseconds since the epoch.
pub fn chrono_us() -> i64 {
    SystemClock.now().timestamp_micros()
}

fn fault(kind: pb::FaultKind, code: &str) -> Status {
    contracts::fault::to_status(&pb::ProviderFault {
        kind: kind.into(),
        code: code.to_owned(),
        message: code.to_owned(),
        ..pb::ProviderFault::default()
    })
}
