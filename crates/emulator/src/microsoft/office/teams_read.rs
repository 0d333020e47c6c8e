//! Reading Teams: teams, channels, chats and their messages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::filter::{self, Clause};
use super::mail_read::paged;
use super::model::Office;
use super::teams::{Chat, Place, Post, Team, Thread, millis, missing};
use super::view::Page;
use crate::http::{Call, Reply};
use crate::microsoft::errors::GraphError;

const DEFAULT_PAGE: usize = 20;
/// Largest `$top` of messages (channel-list-messages, chatmessage-delta).
const MAX_PAGE: usize = 50;
/// How far back delta goes: eight months.
const MEMORY_MS: i64 = 8 * 30 * 86_400_000;

fn top(call: &Call) -> Result<usize, GraphError> {
    let Some(text) = call.query("$top") else { return Ok(DEFAULT_PAGE) };
    match text.parse() {
        Ok(top) if (1..=MAX_PAGE).contains(&top) => Ok(top),
        _ => Err(GraphError::new(400, "BadRequest", "The limit of '50' for Top query has been exceeded.")),
    }
}

fn team_json(team: &Team) -> Value {
    json!({
        "id": team.id,
        "displayName": team.name,
        "description": null,
        "createdDateTime": millis(team.created_ms),
        "isArchived": false,
        "visibility": "private",
    })
}

/// `GET /teams` and `/users/{u}/joinedTeams`.
pub(crate) fn teams(office: &Office, call: &Call) -> Reply {
    let all = office.teams.values().map(team_json).collect();
    paged(call, "teams", all, 100, "$skiptoken").reply(call)
}

/// `GET /teams/{t}`.
pub(crate) fn team(office: &Office, id: &str) -> Result<Reply, GraphError> {
    Ok(Reply::json(200, &team_json(office.teams.get(id).ok_or_else(|| missing("The team"))?)))
}

fn channel_json(channel: &super::teams::Channel) -> Value {
    json!({
        "id": channel.id,
        "displayName": channel.name,
        "description": null,
        "createdDateTime": millis(channel.created_ms),
        "membershipType": "standard",
        "isArchived": false,
    })
}

/// `GET /teams/{t}/channels`, or one of them.
pub(crate) fn channels(
    office: &Office,
    team: &str,
    one: Option<&str>,
    call: &Call,
) -> Result<Reply, GraphError> {
    let found = office.teams.get(team).ok_or_else(|| missing("The team"))?;
    if let Some(id) = one {
        let channel = found.channels.get(id).ok_or_else(|| missing("The channel"))?;
        return Ok(Reply::json(200, &channel_json(channel)));
    }
    let value = found.channels.values().map(channel_json).collect();
    Ok(Page { context: format!("teams('{team}')/channels"), value, ..Page::default() }.reply(call))
}

fn chat_json(office: &Office, chat: &Chat, with_members: bool) -> Value {
    let kind = if chat.members.len() == 2 && chat.topic.is_none() { "oneOnOne" } else { "group" };
    let last = chat.thread.posts.values().map(|post| post.modified_ms).max().unwrap_or(chat.created_ms);
    let mut shown = json!({
        "id": chat.id,
        "topic": chat.topic,
        "createdDateTime": millis(chat.created_ms),
        "lastUpdatedDateTime": millis(last),
        "chatType": kind,
        "tenantId": null,
        "webUrl": null,
    });
    if with_members {
        shown["members"] = members(office, chat);
    }
    shown
}

fn members(office: &Office, chat: &Chat) -> Value {
    let people = chat.members.iter().filter_map(|id| office.users.get(id)).map(|user| {
        json!({
            "@odata.type": "#microsoft.graph.aadUserConversationMember",
            "id": format!("{}-{}", chat.id, user.id),
            "displayName": user.name,
            "userId": user.id,
            "email": user.upn,
            "roles": ["owner"],
        })
    });
    people.collect()
}

/// `GET /chats`, `/users/{u}/chats`.
pub(crate) fn chats(office: &Office, user: Option<&str>, call: &Call) -> Result<Reply, GraphError> {
    let user = user.map(|who| office.user_id(who)).transpose()?;
    let expand = call.query("$expand").is_some_and(|text| text.contains("members"));
    let mine = |chat: &&Chat| user.as_ref().is_none_or(|user| chat.members.contains(user));
    let all = office.chats.values().filter(mine).map(|chat| chat_json(office, chat, expand)).collect();
    Ok(paged(call, "chats", all, top(call)?, "$skiptoken").reply(call))
}

/// `GET /chats/{c}` and `/chats/{c}/members`.
pub(crate) fn chat(office: &Office, id: &str, only_members: bool, call: &Call) -> Result<Reply, GraphError> {
    let chat = office.chats.get(id).ok_or_else(|| missing("The chat"))?;
    if only_members {
        let value = members(office, chat).as_array().cloned().unwrap_or_default();
        return Ok(
            Page { context: "Collection(conversationMember)".into(), value, ..Page::default() }.reply(call)
        );
    }
    Ok(Reply::json(200, &chat_json(office, chat, call.query("$expand").is_some())))
}

/// A time window over `lastModifiedDateTime` or `createdDateTime`; leaks one message when told to.
fn within(office: &Office, call_filter: Option<&str>, posts: &mut Vec<&Post>) -> Result<(), GraphError> {
    let Some(text) = call_filter else { return Ok(()) };
    let clauses = filter::parse(text)?;
    let mut kept: Vec<bool> = vec![true; posts.len()];
    for clause in &clauses {
        let Clause::Time { property, compare, at_ms } = clause else {
            return Err(GraphError::new(400, "BadRequest", "Only times can be filtered by."));
        };
        for (keep, post) in kept.iter_mut().zip(posts.iter()) {
            let time = match property.as_str() {
                "lastModifiedDateTime" => post.modified_ms,
                "createdDateTime" => post.id,
                _ => return Err(GraphError::new(400, "BadRequest", "The property cannot be filtered by.")),
            };
            *keep &= compare.holds(&time, at_ms);
        }
    }
    if office.switches.teams_filter_leaks
        && let Some(older) = kept.iter().position(|keep| !keep)
    {
        kept[older] = true;
    }
    let mut kept = kept.into_iter();
    posts.retain(|_| kept.next().unwrap_or_default());
    Ok(())
}

/// `GET …/messages` of a channel (roots) or a chat, newest first; `…/replies` with a root.
pub(crate) fn messages(
    office: &Office,
    place: &Place,
    root: Option<i64>,
    call: &Call,
) -> Result<Reply, GraphError> {
    let thread = office.thread(place)?;
    if let Some(root) = root
        && !thread.posts.contains_key(&root)
    {
        return Err(missing("The message"));
    }
    let mut posts: Vec<&Post> = thread.posts.values().filter(|post| post.reply_to == root).collect();
    let order = call.query("$orderby");
    let filter = call.query("$filter");
    if matches!(place, Place::Channel { .. }) && (filter.is_some() || order.is_some()) {
        return Err(GraphError::new(400, "BadRequest", "QueryOptions to be supported: $top, $expand."));
    }
    let by_creation = order.as_deref().is_some_and(|text| text.starts_with("createdDateTime"));
    if order.as_deref().is_some_and(|text| !text.ends_with(" desc")) {
        return Err(GraphError::new(400, "BadRequest", "Only descending order is supported."));
    }
    // chat-list-messages: the filter must be on what is sorted by.
    if let (Some(text), Some(_)) = (&filter, &order)
        && text.contains("createdDateTime") != by_creation
    {
        return Err(GraphError::new(400, "BadRequest", "$filter and $orderby must name the same property."));
    }
    within(office, filter.as_deref(), &mut posts)?;
    posts
        .sort_unstable_by_key(|post| std::cmp::Reverse(if by_creation { post.id } else { post.modified_ms }));
    let expand = call.query("$expand").is_some_and(|text| text.contains("replies"));
    let all = posts.into_iter().map(|post| {
        let mut shown = post.json(place);
        if expand {
            let replies = thread.posts.values().filter(|reply| reply.reply_to == Some(post.id));
            shown["replies"] = replies.map(|reply| reply.json(place)).collect();
        }
        shown
    });
    Ok(paged(call, "Collection(chatMessage)", all.collect(), top(call)?, "$skiptoken").reply(call))
}

/// One message or reply.
pub(crate) fn message(
    office: &Office,
    place: &Place,
    root: Option<i64>,
    id: &str,
    call: &Call,
) -> Result<Reply, GraphError> {
    let thread = office.thread(place)?;
    let post = id.parse().ok().and_then(|id: i64| thread.posts.get(&id)).filter(|post| post.reply_to == root);
    let mut shown = post.ok_or_else(|| missing("The message"))?.json(place);
    shown["@odata.context"] = json!(format!("{}/v1.0/$metadata#chatMessage/$entity", call.origin));
    Ok(Reply::json(200, &shown))
}

/// `getAllMessages`: of all chats of a person, or all channels of a team, replies too.
pub(crate) fn export(office: &Office, places: &[Place], call: &Call) -> Result<Reply, GraphError> {
    let filter = call.query("$filter");
    let mut all = Vec::new();
    for place in places {
        let mut posts: Vec<&Post> = office.thread(place)?.posts.values().collect();
        within(office, filter.as_deref(), &mut posts)?;
        all.extend(posts.into_iter().map(|post| post.json(place)));
    }
    Ok(paged(call, "Collection(chatMessage)", all, top(call)?, "$skiptoken").reply(call))
}

/// `messages/delta` of a channel: roots only, eight months, a page at a time.
pub(crate) fn delta(office: &Office, place: &Place, call: &Call, now: i64) -> Result<Reply, GraphError> {
    let thread = office.thread(place)?;
    let context = "Collection(chatMessage)".to_owned();
    if call.query("$skiptoken").as_deref() == Some("empty") {
        let text = "Parameter 'DeltaToken' not supported for this request.";
        return Err(GraphError::new(400, "BadRequest", text));
    }
    let here = |name: &str, token: &Token| format!("{}{}?{name}={}", call.origin, call.path, token.encode());
    let asked = call.query("$skiptoken").or_else(|| call.query("$deltatoken"));
    let mut token = match asked {
        None => Token {
            epoch: thread.epoch,
            since: 0,
            upto: thread.seq,
            top: top(call)?,
            filter: call.query("$filter").unwrap_or_default(),
        },
        Some(text) => Token::decode(&text)
            .ok_or_else(|| GraphError::new(400, "BadRequest", "The token is badly formed."))?,
    };
    if token.epoch != thread.epoch {
        return Err(GraphError::new(
            410,
            "ResyncRequired",
            "Resync required. The delta token is no longer valid.",
        ));
    }
    if call.query("$deltatoken").is_some() {
        token.upto = thread.seq;
    }
    if thread.posts.is_empty() && token.since == 0 && office.switches.empty_channel_next_link {
        let next = Some(format!("{}{}?$skiptoken=empty", call.origin, call.path));
        return Ok(Page { context, next, ..Page::default() }.reply(call));
    }
    let (value, last) = changed(office, thread, place, &token, now)?;
    let more = last < token.upto && value.len() == token.top;
    let page = if more {
        let next = here("$skiptoken", &Token { since: last, ..token });
        Page { context, value, next: Some(next), ..Page::default() }
    } else {
        let delta = here("$deltatoken", &Token { since: token.upto, ..token });
        Page { context, value, delta: Some(delta), ..Page::default() }
    };
    Ok(page.reply(call))
}

/// What a Teams link carries.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Token {
    epoch: u32,
    since: u64,
    upto: u64,
    top: usize,
    filter: String,
}

impl Token {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// Roots that changed within the token's window, oldest change first, and the number of the last one.
fn changed(
    office: &Office,
    thread: &Thread,
    place: &Place,
    token: &Token,
    now: i64,
) -> Result<(Vec<Value>, u64), GraphError> {
    let mut posts: Vec<&Post> = thread
        .posts
        .values()
        .filter(|post| post.reply_to.is_none() && post.seq > token.since && post.seq <= token.upto)
        .filter(|post| post.id > now - MEMORY_MS)
        .collect();
    within(office, Some(token.filter.as_str()).filter(|text| !text.is_empty()), &mut posts)?;
    posts.sort_unstable_by_key(|post| post.seq);
    posts.truncate(token.top);
    let last = posts.last().map_or(token.upto, |post| post.seq);
    Ok((posts.into_iter().map(|post| post.json(place)).collect(), last))
}
