//! graph-connector, as mail, Teams and subscriptions use it.

use chassis::grpc::TracedChannel;
use contracts::fault::from_status;
use contracts::graph::v1 as pb;
use contracts::graph::v1::graph_mail_client::GraphMailClient;
use contracts::graph::v1::graph_subscriptions_client::GraphSubscriptionsClient;
use contracts::graph::v1::graph_teams_client::GraphTeamsClient;
use job_runtime::JobContext;
use tonic::{Response, Status};

use crate::fault::ProviderError;

/// Largest answer accepted from the connector, in bytes.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// Messages of one question (CONTRACT of `GetMessages`).
pub(super) const LOOKUP: usize = 20;

/// The three services. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) mail: GraphMailClient<TracedChannel>,
    pub(super) teams: GraphTeamsClient<TracedChannel>,
    pub(super) subscriptions: GraphSubscriptionsClient<TracedChannel>,
}

impl Graph {
    /// Clients over a channel.
    pub fn new(channel: TracedChannel) -> Self {
        Self {
            mail: GraphMailClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            teams: GraphTeamsClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE),
            subscriptions: GraphSubscriptionsClient::new(channel),
        }
    }

    /// Messages of a mailbox by id, at most [`LOOKUP`].
    pub(super) async fn messages(
        &self,
        job: &JobContext,
        user_id: &str,
        ids: Vec<String>,
        selection: pb::MailSelection,
    ) -> Result<Vec<pb::MessageLookup>, ProviderError> {
        let request = pb::GetMessagesRequest {
            context: Some(context(job)),
            user_id: user_id.to_owned(),
            message_ids: ids,
            selection: Some(selection),
        };
        answer(self.mail.clone().get_messages(request).await).map(|reply| reply.messages)
    }

    /// One message of Teams.
    pub(super) async fn teams_message(
        &self,
        job: &JobContext,
        place: pb::TeamsPlace,
        message_id: &str,
        reply_to_id: &str,
    ) -> Result<pb::GetTeamsMessageReply, ProviderError> {
        let request = pb::GetTeamsMessageRequest {
            context: Some(interactive(job)),
            place: Some(place),
            message_id: message_id.to_owned(),
            reply_to_id: reply_to_id.to_owned(),
        };
        answer(self.teams.clone().get_teams_message(request).await)
    }
}

/// What every call says about its job.
pub(super) fn context(job: &JobContext) -> pb::CallContext {
    pb::CallContext {
        company_id: job.company().to_string(),
        job_id: job.job().to_string(),
        cache_scope: String::new(),
        bypass_cache: true,
        interactive: false,
    }
}

/// As [`context`], for calls that someone waits for: a sending, a message that a notification named.
pub(super) fn interactive(job: &JobContext) -> pb::CallContext {
    pb::CallContext { interactive: true, ..context(job) }
}

/// The answer, or the connector's fault.
pub(super) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, ProviderError> {
    result.map(Response::into_inner).map_err(|status| ProviderError(Box::new(from_status(&status))))
}
