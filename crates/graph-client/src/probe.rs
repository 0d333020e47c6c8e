//! Reads that cost little, to find out what is allowed.

use domain::names::encode_segment;
use outbound::http::Request;
use outbound::provider::Call;
use serde::Deserialize;

use crate::client::{GraphClient, reads};
use crate::error::GraphError;
use crate::mail::immutable;

const PROBE: Call = reads("probe");

impl GraphClient {
    /// The id of the first thing in a collection such as `/users`; `None` when it is empty.
    ///
    /// # Errors
    /// [`GraphError`]; `Forbidden` when the permission is missing.
    pub async fn first_id(&self, collection: &str) -> Result<Option<String>, GraphError> {
        #[derive(Deserialize)]
        struct One {
            id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Page {
            value: Vec<One>,
        }
        let mut url = self.url(PROBE.operation, collection)?;
        url.set_query(Some("$top=1"));
        let request = immutable(Request::get(url));
        let page: Page = self.fetch(&PROBE, request, false, |b| serde_json::from_slice(b)).await?;
        Ok(page.value.into_iter().find_map(|one| one.id))
    }

    /// [`GraphClient::first_id`] of a collection of a user.
    ///
    /// # Errors
    /// [`GraphError`] as of [`GraphClient::first_id`].
    pub async fn first_id_of_user(&self, user: &str, name: &str) -> Result<Option<String>, GraphError> {
        self.first_id(&format!("/users/{}/{name}", encode_segment(user))).await
    }
}
