//! Mail that is sent once, attachments that survive cuts, cards.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use contracts::fault::from_status;
use contracts::graph::v1::{
    AttachFileHead, AttachFileRequest, EnsureDraftReply, EnsureDraftRequest, FaultKind, FindOutgoingRequest,
    MailAddress, OutgoingState, PostCardRequest, SendDraftRequest, attach_file_request,
};
use serde_json::{Value, json};

use crate::support::{Asked, World, ok};

/// A mailbox that may lose its answers.
#[derive(Default)]
struct Mailbox {
    /// Messages by number, with their folder.
    messages: Vec<(Value, &'static str)>,
    attachments: Vec<Value>,
    uploaded: Vec<u8>,
    parts: usize,
    lose_create: bool,
    lose_send: bool,
    lose_attach: bool,
    cut_parts: Vec<usize>,
    sends: usize,
}

impl Mailbox {
    fn answer(&mut self, asked: &Asked) -> Response {
        if asked.path.contains("/upload") {
            return self.upload(asked);
        }
        let prefer = asked.headers.get("prefer").and_then(|v| v.to_str().ok()).unwrap_or_default();
        assert!(prefer.contains("IdType=\"ImmutableId\""), "{} {}", asked.method, asked.path);
        let path = asked.path.split('?').next().unwrap_or_default();
        if path.ends_with("/createUploadSession") {
            let url = format!("{}/upload?authtoken=hush", asked.base);
            return (StatusCode::CREATED, Json(json!({"uploadUrl": url, "nextExpectedRanges": ["0-"]})))
                .into_response();
        }
        if path.ends_with("/attachments") {
            if asked.method == Method::GET {
                return ok(json!({"value": self.attachments}));
            }
            let size = asked.body["contentBytes"].as_str().map_or(0, |text| text.len() * 3 / 4 + 100);
            self.attachments.push(json!({"id": "a", "name": asked.body["name"], "size": size}));
            return self.answered(StatusCode::CREATED, |m| &mut m.lose_attach, json!({"id": "a"}));
        }
        if path.ends_with("/send") {
            self.sends += 1;
            self.messages[0].1 = "sentitems";
            self.messages[0].0["isDraft"] = json!(false);
            return self.answered(StatusCode::ACCEPTED, |m| &mut m.lose_send, Value::Null);
        }
        if asked.method == Method::POST {
            let mut message = asked.body.clone();
            message["id"] = json!(format!("m{}", self.messages.len()));
            message["isDraft"] = json!(true);
            self.messages.push((message.clone(), "drafts"));
            return self.answered(StatusCode::CREATED, |m| &mut m.lose_create, message);
        }
        if let Some(folder) = path.strip_prefix("/users/u/mailFolders/") {
            let Some(folder) = folder.strip_suffix("/messages") else { return ok(json!({"id": folder})) };
            return self.list(asked, |place| place == folder);
        }
        match path.strip_prefix("/users/u/messages/") {
            Some(id) => match self.messages.iter().find(|(m, _)| m["id"] == id) {
                Some((message, folder)) => {
                    let mut shown = message.clone();
                    shown["parentFolderId"] = json!(folder);
                    ok(shown)
                }
                None => StatusCode::NOT_FOUND.into_response(),
            },
            None => self.list(asked, |_| true),
        }
    }

    fn list(&self, asked: &Asked, within: impl Fn(&str) -> bool) -> Response {
        let marked = |m: &Value| {
            let mark = m["singleValueExtendedProperties"][0]["value"].as_str().unwrap_or_default();
            asked.path.contains(&format!("eq%20%27{mark}%27"))
                || asked.path.contains(&format!("eq%20'{mark}'"))
        };
        let found: Vec<&Value> =
            self.messages.iter().filter(|(m, at)| within(at) && marked(m)).map(|(m, _)| m).collect();
        ok(json!({"value": found}))
    }

    fn answered(&mut self, status: StatusCode, lose: fn(&mut Self) -> &mut bool, body: Value) -> Response {
        if std::mem::take(lose(self)) {
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        (status, Json(body)).into_response()
    }

    fn upload(&mut self, asked: &Asked) -> Response {
        assert!(asked.headers.get("authorization").is_none(), "our token goes to Graph alone");
        if asked.method == Method::PUT {
            self.parts += 1;
            let range = asked.headers["content-range"].to_str().expect("a range").to_owned();
            let at: usize =
                range["bytes ".len()..].split('-').next().expect("a start").parse().expect("a number");
            assert_eq!(at, self.uploaded.len(), "{range}");
            let total: usize = range.split('/').nth(1).expect("a total").parse().expect("a number");
            if self.cut_parts.contains(&self.parts) {
                // Half of it arrived, and the answer is lost.
                self.uploaded.extend_from_slice(&asked.bytes[..asked.bytes.len() / 2]);
                return StatusCode::BAD_GATEWAY.into_response();
            }
            self.uploaded.extend_from_slice(&asked.bytes);
            if self.uploaded.len() == total {
                return StatusCode::CREATED.into_response();
            }
        }
        // As Outlook's own host spells it.
        ok(json!({"NextExpectedRanges": [self.uploaded.len().to_string()]}))
    }
}

async fn world(mailbox: &Arc<Mutex<Mailbox>>) -> World {
    let mailbox = Arc::clone(mailbox);
    World::start(&[], move |asked| mailbox.lock().expect("lock").answer(&asked)).await
}

fn draft(first_attempt: bool) -> EnsureDraftRequest {
    EnsureDraftRequest {
        user_id: "u".into(),
        outbox_id: "01J-9".into(),
        subject: "S".into(),
        body_type: "html".into(),
        body: "<p>x</p>".into(),
        to: vec![MailAddress { name: String::new(), address: "a@b.c".into() }],
        first_attempt,
        ..EnsureDraftRequest::default()
    }
}

async fn ensure(world: &mut World, first_attempt: bool) -> EnsureDraftReply {
    world.mail.ensure_draft(draft(first_attempt)).await.expect("a draft").into_inner()
}

#[tokio::test]
async fn lost_answers_make_no_second_draft_and_no_second_mail() {
    let mailbox = Arc::new(Mutex::new(Mailbox { lose_create: true, lose_send: true, ..Mailbox::default() }));
    let mut world = world(&mailbox).await;
    let made = ensure(&mut world, true).await;
    assert_eq!((made.message_id.as_str(), made.existed, made.already_sent), ("m0", true, false));
    let again = ensure(&mut world, false).await;
    assert_eq!((again.message_id.as_str(), again.existed), ("m0", true));
    let find = |id: &str| FindOutgoingRequest {
        user_id: "u".into(),
        outbox_id: "01J-9".into(),
        message_id: id.into(),
        context: None,
    };
    let found = world.mail.find_outgoing(find("m0")).await.expect("an answer").into_inner();
    assert_eq!(found.state(), OutgoingState::Draft);
    let send = SendDraftRequest { context: None, user_id: "u".into(), message_id: "m0".into() };
    let refusal = world.mail.send_draft(send).await.expect_err("the answer is lost");
    assert_eq!(from_status(&refusal).kind(), FaultKind::Ambiguous);
    for id in ["m0", "", "gone"] {
        let found = world.mail.find_outgoing(find(id)).await.expect("an answer").into_inner();
        assert_eq!((found.state(), found.message_id.as_str()), (OutgoingState::Sent, "m0"), "by `{id}`");
    }
    assert!(ensure(&mut world, false).await.already_sent);
    let state = mailbox.lock().expect("lock");
    assert_eq!((state.messages.len(), state.sends), (1, 1));
}

#[tokio::test]
async fn what_was_never_written_is_absent() {
    let mailbox = Arc::default();
    let mut world = world(&mailbox).await;
    let find = FindOutgoingRequest { user_id: "u".into(), outbox_id: "x".into(), ..Default::default() };
    let found = world.mail.find_outgoing(find).await.expect("an answer").into_inner();
    assert_eq!(found.state(), OutgoingState::Absent);
    let nobody = EnsureDraftRequest { to: Vec::new(), ..draft(true) };
    let refusal = world.mail.ensure_draft(nobody).await.expect_err("no recipient");
    assert_eq!(from_status(&refusal).kind(), FaultKind::Refused);
}

fn file(size: usize, chunk: usize) -> (Vec<u8>, Vec<AttachFileRequest>) {
    let content: Vec<u8> = (0..size).map(|at| u8::try_from(at * 7 % 251).expect("a byte")).collect();
    let head = AttachFileHead {
        context: None,
        user_id: "u".into(),
        message_id: "m0".into(),
        name: "plan.pdf".into(),
        content_type: "application/pdf".into(),
        size: i64::try_from(size).expect("a size"),
    };
    let mut parts = vec![AttachFileRequest { part: Some(attach_file_request::Part::Head(head)) }];
    parts.extend(
        content
            .chunks(chunk)
            .map(|chunk| AttachFileRequest { part: Some(attach_file_request::Part::Chunk(chunk.to_vec())) }),
    );
    (content, parts)
}

#[tokio::test]
async fn a_cut_upload_goes_on_where_it_was_cut() {
    let mailbox = Arc::new(Mutex::new(Mailbox { cut_parts: vec![1, 3, 4], ..Mailbox::default() }));
    let mut world = world(&mailbox).await;
    let (content, parts) = file(6_000_000, 700_001);
    let reply = world.mail.attach_file(futures::stream::iter(parts)).await.expect("attached").into_inner();
    assert!(!reply.existed);
    let state = mailbox.lock().expect("lock");
    assert!(state.uploaded == content, "{} of {} bytes", state.uploaded.len(), content.len());
}

#[tokio::test]
async fn a_small_attachment_whose_answer_is_lost_is_there_once() {
    let mailbox = Arc::new(Mutex::new(Mailbox { lose_attach: true, ..Mailbox::default() }));
    let mut world = world(&mailbox).await;
    for existed in [false, true] {
        let (_, parts) = file(50_000, 9_000);
        let reply =
            world.mail.attach_file(futures::stream::iter(parts)).await.expect("attached").into_inner();
        assert_eq!(reply.existed, existed);
    }
    assert_eq!(mailbox.lock().expect("lock").attachments.len(), 1);
    let (_, mut parts) = file(5_000, 1_000);
    parts.pop();
    if let Some(attach_file_request::Part::Head(head)) = &mut parts[0].part {
        head.name = "short".into();
    }
    let refusal = world.mail.attach_file(futures::stream::iter(parts)).await.expect_err("too short");
    assert_eq!(from_status(&refusal).code, "invalidRequest");
}

#[tokio::test]
async fn cards_go_to_named_workflows_alone_and_addresses_stay_secret() {
    let hook = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}/flows/", hook.local_addr().expect("an address"));
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let log = Arc::clone(&seen);
    let app = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let log = Arc::clone(&log);
        async move {
            assert!(request.headers().get("authorization").is_none());
            let lost = request.uri().path().ends_with("/lost");
            let bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
            log.lock().expect("lock").push(serde_json::from_slice(&bytes).expect("JSON"));
            if lost { StatusCode::BAD_GATEWAY } else { StatusCode::ACCEPTED }
        }
    });
    let tasks = chassis::lifecycle::Tasks::new();
    tasks.spawn("workflow", async move { axum::serve(hook, app).await.expect("serving") });
    let urls = format!("team={base}one?sig=hush,lost={base}lost?sig=hush,evil=http://evil.invalid/?sig=hush");
    let settings = [("TEAMS_WORKFLOW_URLS", urls.as_str()), ("TEAMS_WORKFLOW_BASE_URL", base.as_str())];
    let mut world = World::start(&settings, |_| StatusCode::NOT_FOUND.into_response()).await;
    let card = |workflow: &str| PostCardRequest {
        context: None,
        workflow: workflow.into(),
        card_json: json!({"type": "AdaptiveCard", "body": []}).to_string(),
    };
    world.teams.post_card(card("team")).await.expect("posted");
    assert_eq!(seen.lock().expect("lock")[0]["attachments"][0]["content"]["type"], "AdaptiveCard");
    for (workflow, kind) in
        [("lost", FaultKind::Ambiguous), ("evil", FaultKind::Refused), ("none", FaultKind::Refused)]
    {
        let refusal = world.teams.post_card(card(workflow)).await.expect_err(workflow);
        assert_eq!(from_status(&refusal).kind(), kind, "{workflow}");
        assert!(!refusal.message().contains("hush"), "{}", refusal.message());
    }
    assert_eq!(seen.lock().expect("lock").len(), 2, "an ambiguous post is not repeated");
    let large = PostCardRequest { card_json: json!({"x": "y".repeat(30_000)}).to_string(), ..card("team") };
    let refusal = world.teams.post_card(large).await.expect_err("too large");
    assert_eq!(from_status(&refusal).code, "cardTooLarge");
}
