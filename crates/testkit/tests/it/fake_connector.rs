//! A graph-connector that answers status, token and cache calls as a test wants.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use contracts::graph::v1 as pb;
use contracts::graph::v1::graph_connector_server::{GraphConnector, GraphConnectorServer};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::fake_graph::FakeGraph;

/// What it answers; shared with the test.
#[derive(Debug, Clone, Default)]
pub struct Fake {
    /// Answer of `GetStatus`.
    pub status: Arc<Mutex<pb::GetStatusReply>>,
    /// Answer of `RefreshToken`; a fault when none.
    pub token: Arc<Mutex<Option<i64>>>,
    /// Mail, Teams and subscriptions.
    pub graph: FakeGraph,
    /// Scopes that were cleared.
    pub cleared: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// A healthy connector, listening; with its address.
    pub async fn start() -> (Self, String) {
        let fake = Self::default();
        fake.set(|status| {
            status.configured = true;
            status.authenticated = true;
            status.cache_provider = String::from("memory");
            status.cache_connected = true;
            status.retry_max_attempts = 4;
            status.retry_initial_ms = 1000;
            status.retry_max_ms = 15_000;
            status.breaker_failure_threshold = 4;
            status.breaker_timeout_ms = 90_000;
            status.breaker_reset_ms = 60_000;
            status.cache_hits = 3;
            status.cache_misses = 1;
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let routes = fake.graph.serve(tonic::service::Routes::new(GraphConnectorServer::new(fake.clone())));
        let tasks = chassis::lifecycle::Tasks::new();
        tasks.spawn("fake connector", async move {
            drop(chassis::grpc::serve(listener, routes, &chassis::lifecycle::Shutdown::new()).await);
        });
        (fake, url)
    }

    /// Changes the status.
    pub fn set(&self, change: impl FnOnce(&mut pb::GetStatusReply)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl GraphConnector for Fake {
    async fn get_status(&self, _: Request<pb::GetStatusRequest>) -> Answer<pb::GetStatusReply> {
        Ok(Response::new(self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    async fn refresh_token(&self, _: Request<pb::RefreshTokenRequest>) -> Answer<pb::RefreshTokenReply> {
        let token = *self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.map(|expires_at_us| Response::new(pb::RefreshTokenReply { expires_at_us })).ok_or_else(|| {
            contracts::fault::to_status(&pb::ProviderFault {
                kind: pb::FaultKind::Credential.into(),
                code: "AADSTS7000215".to_owned(),
                message: "Invalid client secret provided.".to_owned(),
                ..pb::ProviderFault::default()
            })
        })
    }

    async fn clear_cache(&self, request: Request<pb::ClearCacheRequest>) -> Answer<pb::ClearCacheReply> {
        let mut cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        cleared.push(request.into_inner().scope);
        Ok(Response::new(pb::ClearCacheReply { cleared: 7 }))
    }

    async fn get_drive(&self, _: Request<pb::GetDriveRequest>) -> Answer<pb::GetDriveReply> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn delta_page(&self, _: Request<pb::DeltaPageRequest>) -> Answer<pb::DeltaPageReply> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn list_children(&self, _: Request<pb::ListChildrenRequest>) -> Answer<pb::ListChildrenReply> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn get_item(&self, _: Request<pb::GetItemRequest>) -> Answer<pb::GetItemReply> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn ensure_drive_subscription(
        &self,
        _: Request<pb::EnsureDriveSubscriptionRequest>,
    ) -> Answer<pb::EnsureDriveSubscriptionReply> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn delete_subscription(
        &self,
        _: Request<pb::DeleteSubscriptionRequest>,
    ) -> Answer<pb::DeleteSubscriptionReply> {
        Err(Status::unimplemented("not in this test"))
    }
}
