//! Mail, Teams and cards from the connector's contract to the emulator and back.

use std::sync::Arc;
use std::time::Duration;

use chassis::config::{Env, FromEnv};
use chassis::lifecycle::{Shutdown, Tasks};
use chassis::time::{SystemClock, pause};
use contracts::fault::from_status;
use contracts::graph::v1::graph_mail_client::GraphMailClient;
use contracts::graph::v1::graph_subscriptions_client::GraphSubscriptionsClient;
use contracts::graph::v1::graph_teams_client::GraphTeamsClient;
use contracts::graph::v1::{self as pb, FaultKind};
use emulator::{Config, DEMO_CLIENT, DEMO_SECRET, DEMO_TENANT, Emulator};
use graph_connector::{Connector, ConnectorConfig};
use outbound::http::{HttpClient, Request};
use outbound::{Method, Url};
use serde_json::{Value, json};

type Channel = chassis::grpc::TracedChannel;

const BEN: &str = "ben@example.org";

struct World {
    emulator: Emulator,
    mail: GraphMailClient<Channel>,
    teams: GraphTeamsClient<Channel>,
    subscriptions: GraphSubscriptionsClient<Channel>,
    http: HttpClient,
    tokens: Arc<outbound::token::EntraTokens>,
    shutdown: Shutdown,
    _tasks: Tasks,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.begin();
        self.shutdown.stop();
    }
}

impl World {
    async fn start() -> Self {
        let emulator = Emulator::start(Config::default()).await.expect("an emulator");
        let (login, base) = (emulator.login_base_url(), emulator.graph_base_url());
        let flows = format!("{}/workflows/", base.trim_end_matches("/v1.0"));
        let mut env = Env::from_pairs([
            ("AZURE_TENANT_ID", DEMO_TENANT),
            ("AZURE_CLIENT_ID", DEMO_CLIENT),
            ("AZURE_CLIENT_SECRET", DEMO_SECRET),
            ("AZURE_CLIENT_SECRET_NEXT", "the-next-one"),
            ("MICROSOFT_LOGIN_BASE_URL", login.as_str()),
            ("GRAPH_BASE_URL", base.as_str()),
            ("ONEDRIVE_RETRY_INITIAL_MS", "5"),
            ("TEAMS_WORKFLOW_BASE_URL", flows.as_str()),
        ]);
        let config = ConnectorConfig::from_env(&mut env);
        env.finish().expect("a configuration");
        let connector = Arc::new(Connector::assemble(&config, Arc::new(SystemClock)).expect("a connector"));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (tasks, shutdown) = (Tasks::new(), Shutdown::new());
        let (routes, stop) = (graph_connector::routes(&connector), shutdown.clone());
        tasks.spawn("grpc", async move {
            chassis::grpc::serve(listener, routes, &stop).await.expect("serving");
        });
        let channel = chassis::grpc::channel(&url).expect("a channel");
        Self {
            emulator,
            mail: GraphMailClient::new(channel.clone()),
            teams: GraphTeamsClient::new(channel.clone()),
            subscriptions: GraphSubscriptionsClient::new(channel),
            http: HttpClient::builder().build().expect("a client"),
            tokens: connector.tokens(),
            shutdown,
            _tasks: tasks,
        }
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = Url::parse(&format!("{}{path}", self.emulator.control_url())).expect("a url");
        let request = Request::new(method, url).json(&body).expect("a body");
        let answer = self.http.send(request).await.expect("an answer");
        assert!(answer.status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    async fn round(&mut self, folder: &str, link: &str) -> (Vec<pb::MailMessage>, String) {
        let (mut all, mut link) = (Vec::new(), link.to_owned());
        loop {
            let request = pb::MessageDeltaRequest {
                user_id: BEN.into(),
                folder_id: folder.into(),
                selection: Some(pb::MailSelection { bodies: true, attachments: false }),
                link: link.clone(),
                page_size: 3,
                ..pb::MessageDeltaRequest::default()
            };
            let page = self.mail.message_delta(request).await.expect("a page").into_inner();
            assert!(page.poison.is_empty(), "{:?}", page.poison);
            all.extend(page.messages);
            match page.next.expect("a link") {
                pb::message_delta_reply::Next::NextLink(next) => link = next,
                pb::message_delta_reply::Next::DeltaLink(delta) => return (all, delta),
            }
        }
    }
}

#[tokio::test]
async fn a_mail_is_written_sent_and_found_although_answers_are_lost() {
    let mut world = World::start().await;
    let (_, cursor) = world.round("sentitems", "").await;
    let lost = |path: &str| {
        json!({"provider": "microsoft", "method": "POST", "path": path, "times": 1,
            "fault": {"kind": "reset", "at": "after_commit"}})
    };
    world.control(Method::POST, "/faults", lost("/messages$")).await;
    world.control(Method::POST, "/faults", lost("/send$")).await;
    let draft = pb::EnsureDraftRequest {
        user_id: BEN.into(),
        outbox_id: "01J-office".into(),
        subject: "Late".into(),
        body_type: "text".into(),
        body: "please".into(),
        to: vec![pb::MailAddress { name: "Ada".into(), address: "ada@example.org".into() }],
        first_attempt: true,
        ..pb::EnsureDraftRequest::default()
    };
    let made = world.mail.ensure_draft(draft.clone()).await.expect("a draft").into_inner();
    assert!(made.existed && !made.already_sent, "the lost answer's draft is found: {made:?}");
    let content: Vec<u8> = (0..4_000_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    let head = pb::AttachFileHead {
        user_id: BEN.into(),
        message_id: made.message_id.clone(),
        name: "plan.pdf".into(),
        content_type: "application/pdf".into(),
        size: 4_000_000,
        context: None,
    };
    let mut parts = vec![pb::AttachFileRequest { part: Some(pb::attach_file_request::Part::Head(head)) }];
    parts.extend(content.chunks(500_000).map(|chunk| pb::AttachFileRequest {
        part: Some(pb::attach_file_request::Part::Chunk(chunk.to_vec())),
    }));
    for existed in [false, true] {
        let reply = world.mail.attach_file(futures::stream::iter(parts.clone())).await.expect("attached");
        assert_eq!(reply.into_inner().existed, existed);
    }
    let send =
        pb::SendDraftRequest { user_id: BEN.into(), message_id: made.message_id.clone(), context: None };
    let refusal = world.mail.send_draft(send).await.expect_err("the answer is lost");
    assert_eq!(from_status(&refusal).kind(), FaultKind::Ambiguous, "{refusal:?}");
    for id in [made.message_id.as_str(), ""] {
        let find = pb::FindOutgoingRequest {
            user_id: BEN.into(),
            outbox_id: "01J-office".into(),
            message_id: id.into(),
            context: None,
        };
        let found = world.mail.find_outgoing(find).await.expect("an answer").into_inner();
        assert_eq!(found.state(), pb::OutgoingState::Sent, "{found:?}");
        assert_eq!(found.message_id, made.message_id, "the id survives the way to the sent items");
    }
    let again = pb::EnsureDraftRequest { first_attempt: false, ..draft };
    assert!(world.mail.ensure_draft(again).await.expect("an answer").into_inner().already_sent);
    let (arrived, _) = world.round("sentitems", &cursor).await;
    assert_eq!(arrived.iter().filter(|m| m.id == made.message_id).count(), 1, "{arrived:?}");
    let left = world.control(Method::GET, "/microsoft/outgoing", json!({})).await;
    let left = left["items"].as_array().expect("items");
    assert_eq!((left.len(), left[0]["attachments"][0]["size"].as_u64()), (1, Some(4_000_000)));
}

#[tokio::test]
async fn folders_and_messages_are_read_and_probes_name_what_is_denied() {
    let mut world = World::start().await;
    let mailbox = pb::GetMailboxRequest { user: BEN.into(), context: None };
    let mailbox = world.mail.get_mailbox(mailbox).await.expect("an answer").into_inner();
    assert!(mailbox.found && !mailbox.user_id.is_empty());
    let folders = pb::MailFolderDeltaRequest { user_id: BEN.into(), ..Default::default() };
    let folders = world.mail.mail_folder_delta(folders).await.expect("a page").into_inner();
    assert!(folders.folders.len() >= 3 && folders.poison.is_empty(), "{folders:?}");
    let ids = vec!["AAMkNowhere".to_owned()];
    let lookup = pb::GetMessagesRequest { user_id: BEN.into(), message_ids: ids, ..Default::default() };
    let looked = world.mail.get_messages(lookup).await.expect("an answer").into_inner();
    assert!(looked.messages[0].message.is_none() && looked.messages[0].poison.is_none(), "{looked:?}");
    world
        .control(Method::PUT, "/microsoft/permissions", json!({"denied": ["Mail.Read", "Mail.ReadWrite"]}))
        .await;
    let probe = pb::ProbePermissionsRequest { user_id: BEN.into(), ..Default::default() };
    let probes = world.subscriptions.probe_permissions(probe).await.expect("probes").into_inner().probes;
    let of = |name: &str| probes.iter().find(|p| p.permission == name).cloned().expect(name);
    assert!(!of("Mail.Read").granted && of("Mail.Read").untried.is_empty(), "{probes:?}");
    assert!(of("Team.ReadBasic.All").granted, "{probes:?}");
}

#[tokio::test]
async fn an_empty_channel_has_nothing_yet_and_then_its_messages() {
    let mut world = World::start().await;
    let teams = world.control(Method::GET, "/microsoft/teams", json!({})).await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (team, channel) = (text(&teams["items"][0]["id"]), text(&teams["items"][0]["channels"][0]["id"]));
    let delta = |link: String| pb::ChannelMessageDeltaRequest {
        team_id: team.clone(),
        channel_id: channel.clone(),
        link,
        context: None,
    };
    let mut link = String::new();
    for _page in 0..3 {
        let page = world.teams.channel_message_delta(delta(link.clone())).await.expect("a page").into_inner();
        match page.next.expect("a next") {
            pb::channel_message_delta_reply::Next::NextLink(next) => link = next,
            pb::channel_message_delta_reply::Next::NothingYet(_) => {
                link.clear();
                break;
            }
            pb::channel_message_delta_reply::Next::DeltaLink(_) => panic!("an empty channel has no feed"),
        }
    }
    assert!(link.is_empty(), "the empty channel was told apart");
    let said = json!({"team": team, "channel": channel, "from": BEN, "body": "root"});
    let root = world.control(Method::POST, "/microsoft/channel-message", said).await;
    let page = world.teams.channel_message_delta(delta(String::new())).await.expect("a page").into_inner();
    assert_eq!(page.messages.len(), 1, "{page:?}");
    assert_eq!(
        (page.messages[0].id.as_str(), page.messages[0].body.as_str()),
        (root["id"].as_str().expect("an id"), "root")
    );
}

#[tokio::test]
async fn the_secret_is_rotated_under_load_and_fails_no_request() {
    let mut world = World::start().await;
    let mailbox = || pb::GetMailboxRequest { user: BEN.into(), context: None };
    world.mail.get_mailbox(mailbox()).await.expect("the first token");
    let tasks = Tasks::new();
    let (stop, failures) = (Shutdown::new(), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    for _ in 0..4 {
        let (mut mail, stop, failures) = (world.mail.clone(), stop.draining(), Arc::clone(&failures));
        tasks.spawn("load", async move {
            while !stop.is_cancelled() {
                let asked = pb::GetMailFolderRequest {
                    user_id: BEN.into(),
                    folder_id: "inbox".into(),
                    context: None,
                };
                if mail.get_mail_folder(asked).await.is_err() {
                    failures.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
                // Below the mailbox's budget: this is about the secret.
                pause(Duration::from_millis(20)).await;
            }
        });
    }
    let rotation = world.tokens.rotate(&mut Vec::new()).await;
    assert_eq!(rotation, outbound::token::Rotation::Refused("next"), "Entra does not know it yet");
    world.control(Method::PUT, "/microsoft/secrets", json!({"add": ["the-next-one"]})).await;
    let rotation = world.tokens.rotate(&mut Vec::new()).await;
    assert_eq!(rotation, outbound::token::Rotation::Switched("next"));
    world.control(Method::PUT, "/microsoft/secrets", json!({"revoke": [DEMO_SECRET]})).await;
    world.tokens.refresh().await.expect("the next secret carries on");
    assert_eq!(world.tokens.status().active_secret, "next");
    stop.begin();
    tasks.wait().await;
    assert_eq!(failures.load(std::sync::atomic::Ordering::SeqCst), 0);
}
