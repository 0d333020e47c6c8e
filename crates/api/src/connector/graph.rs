//! Mailboxes and subscriptions, as operators ask for them.

use std::time::Duration;

use contracts::graph::v1::{self as pb};
use domain::ids::CompanyId;

use super::{Connector, ConnectorError, NAME, within};

const LOOK: Duration = Duration::from_secs(15);
/// Pages of the list, and the handshake of each address with the provider's own patience.
const SLOW: Duration = Duration::from_mins(1);

fn context(company: CompanyId) -> pb::CallContext {
    pb::CallContext { company_id: company.to_string(), bypass_cache: true, ..pb::CallContext::default() }
}

impl Connector {
    /// The user behind an address or id.
    pub(crate) async fn mailbox(
        &self,
        company: CompanyId,
        user: &str,
    ) -> Result<pb::GetMailboxReply, ConnectorError> {
        let request = pb::GetMailboxRequest { context: Some(context(company)), user: user.to_owned() };
        within(NAME, LOOK, self.mail.clone().get_mailbox(request)).await
    }

    /// All subscriptions of the application.
    pub(crate) async fn subscriptions(
        &self,
        company: CompanyId,
    ) -> Result<Vec<pb::ProviderSubscription>, ConnectorError> {
        let request = pb::ListSubscriptionsRequest { context: Some(context(company)) };
        let reply = within(NAME, SLOW, self.subscriptions.clone().list_subscriptions(request)).await?;
        Ok(reply.subscriptions)
    }

    /// Deletes a subscription; false when it was gone.
    pub(crate) async fn remove_subscription(
        &self,
        company: CompanyId,
        id: &str,
    ) -> Result<bool, ConnectorError> {
        let request =
            pb::RemoveSubscriptionRequest { context: Some(context(company)), subscription_id: id.to_owned() };
        Ok(within(NAME, LOOK, self.subscriptions.clone().remove_subscription(request)).await?.existed)
    }

    /// Calls our public addresses as Graph would.
    pub(crate) async fn test_urls(&self) -> Result<Vec<pb::UrlTest>, ConnectorError> {
        let request = pb::TestNotificationUrlRequest {};
        Ok(within(NAME, SLOW, self.subscriptions.clone().test_notification_url(request)).await?.tests)
    }

    /// Tries a cheap read per capability.
    pub(crate) async fn probe(
        &self,
        company: CompanyId,
        user_id: &str,
        team_id: &str,
    ) -> Result<Vec<pb::PermissionProbe>, ConnectorError> {
        let request = pb::ProbePermissionsRequest {
            context: Some(context(company)),
            user_id: user_id.to_owned(),
            team_id: team_id.to_owned(),
        };
        Ok(within(NAME, SLOW, self.subscriptions.clone().probe_permissions(request)).await?.probes)
    }
}
