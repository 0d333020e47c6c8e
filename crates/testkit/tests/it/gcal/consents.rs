//! Consents: begun, ended, refused.

use contracts::fault::from_status;
use contracts::gcal::v1 as pb;
use serde_json::json;
use sha2::{Digest, Sha256};
use tonic::Status;

use super::google::SCOPES;
use super::world::{SESSION, World};

fn code<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    from_status(&outcome.expect_err("a refusal")).code
}

#[tokio::test]
async fn a_consent_connects_the_calendar_and_begins_its_work() {
    let world = World::new().await;
    let url = world.begin("", "").await.expect("an address");
    let (code, state) = world.google.consent(&url);
    let done = world.complete(&code, &state).await.expect("a connection");
    assert_eq!((done.account.as_str(), done.calendar_id.as_str()), ("anna@example.com", "anna@example.com"));
    assert_eq!(done.company_id, world.company.to_string());
    let rows = world.db.rows("SELECT * FROM google_calendar_connections").await;
    let row = &rows[0];
    assert_eq!(
        (&row["state"], &row["sync_direction"], &row["user_id"]),
        (&json!("active"), &json!("both"), &json!("anna"))
    );
    assert_eq!((&row["time_zone"], &row["access_role"]), (&json!("Europe/Paris"), &json!("owner")));
    assert!(row["expires_at"].is_string());
    let jobs = world.db.rows("SELECT kind, resource_key FROM jobs ORDER BY kind").await;
    let resource = format!("calendar:{}", done.connection_id);
    assert_eq!(
        jobs,
        [
            json!({ "kind": "calendar.pull", "resource_key": resource }),
            json!({ "kind": "calendar.watch", "resource_key": null })
        ]
    );
    // Nothing of the tokens, the verifier or the state stands in the database.
    let dump = world.db.rows("SELECT a::text AS a, (SELECT string_agg(o::text, ' ') FROM oauth_states o) AS o FROM calendar_accounts a").await;
    let dump = format!("{dump:?}");
    for secret in ["refresh-", "access-", &state] {
        let coded = hex::encode(secret);
        assert!(!dump.contains(secret) && !dump.contains(&coded), "{secret} shows");
    }
}

#[tokio::test]
async fn a_state_works_once_and_in_its_session_alone() {
    let world = World::new().await;
    let (first, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    world.complete(&first, &state).await.expect("a connection");
    let (again, _) = world.google.consent(&world.begin("", "").await.expect("an address"));
    assert_eq!(code(world.complete(&again, &state).await), "invalid_state", "used before");
    assert_eq!(code(world.complete(&again, "made-up").await), "invalid_state");

    let (stolen, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    let thief = |session: &[u8], user: &str, company: String| pb::CompleteConsentRequest {
        state: state.clone(),
        code: stolen.clone(),
        session_sha256: session.to_vec(),
        user_id: user.into(),
        company_id: company,
        ..pb::CompleteConsentRequest::default()
    };
    let other = Sha256::digest(b"another session").to_vec();
    let refused = world.client().complete_consent(thief(&other, "", String::new())).await;
    assert_eq!(code(refused), "session_mismatch");
    let exchanged = world.google.calls("POST /token");
    let own = Sha256::digest(SESSION).to_vec();
    let refused = world.client().complete_consent(thief(&own, "", String::new())).await;
    assert_eq!(code(refused), "invalid_state", "a state that was tried is used up");
    assert_eq!(world.google.calls("POST /token"), exchanged, "no code was exchanged");

    // An authenticated caller needs no cookie, if he is who began.
    let (fresh, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    let caller = pb::CompleteConsentRequest {
        state,
        code: fresh,
        user_id: "anna".into(),
        company_id: world.company.to_string(),
        ..pb::CompleteConsentRequest::default()
    };
    world.client().complete_consent(caller).await.expect("a connection");

    let (late, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    world.db.execute("UPDATE oauth_states SET expires_at = now()").await;
    assert_eq!(code(world.complete(&late, &state).await), "invalid_state", "too late");
}

#[tokio::test]
async fn a_verifier_fits_its_own_code_alone() {
    let world = World::new().await;
    let (_, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    let (other_code, _) = world.google.consent(&world.begin("", "").await.expect("an address"));
    assert_eq!(code(world.complete(&other_code, &state).await), "invalid_grant");
    assert_eq!(world.db.number("SELECT count(*) FROM google_calendar_connections").await, 0);
}

#[tokio::test]
async fn partial_denied_and_tokenless_consents_are_refused_with_their_reason() {
    let world = World::new().await;
    world.google.state().scopes = SCOPES[..3].iter().map(|s| (*s).to_owned()).collect();
    let (granted, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    let refused = world.complete(&granted, &state).await.expect_err("a scope is missing");
    assert_eq!(from_status(&refused).code, "insufficient_scopes");
    assert!(refused.message().contains("calendar.calendarlist.readonly"), "{}", refused.message());
    world.google.state().scopes.clear();

    let (_, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    let denied = pb::CompleteConsentRequest {
        state,
        error: "access_denied".into(),
        session_sha256: Sha256::digest(SESSION).to_vec(),
        ..pb::CompleteConsentRequest::default()
    };
    assert_eq!(code(world.client().complete_consent(denied).await), "consent_denied");

    world.google.state().no_refresh_token = true;
    let (granted, state) = world.google.consent(&world.begin("", "").await.expect("an address"));
    assert_eq!(code(world.complete(&granted, &state).await), "no_refresh_token");
    world.google.state().no_refresh_token = false;
    let first = world.connect().await;
    // A returning account without a new refresh token keeps its old one.
    world.google.state().no_refresh_token = true;
    assert_eq!(world.connect().await, first);
    world.expire_token().await;
    let other = world.another(&[]).await;
    other.client.clone().list_events(world.list(&first)).await.expect("the old grant still refreshes");
}

#[tokio::test]
async fn calendars_are_chosen_and_belong_to_one_organization() {
    let world = World::new().await;
    let (granted, state) = world.google.consent(&world.begin("nowhere", "").await.expect("an address"));
    assert_eq!(code(world.complete(&granted, &state).await), "calendar_not_found");
    let holidays = "holidays@group.v.calendar.google.com";
    let (granted, state) = world.google.consent(&world.begin(holidays, "both").await.expect("an address"));
    assert_eq!(code(world.complete(&granted, &state).await), "calendar_read_only");
    let (granted, state) =
        world.google.consent(&world.begin(holidays, "from_google").await.expect("an address"));
    let connection = world.complete(&granted, &state).await.expect("readable").connection_id;
    assert_eq!(code(world.begin("", "sideways").await), "invalidRequest");
    let another = pb::ConnectCalendarRequest {
        context: world.context(),
        user_id: "anna".into(),
        connection_id: connection.clone(),
        calendar_id: "team@group.calendar.google.com".into(),
        sync_direction: "to_google".into(),
    };
    world.client().connect_calendar(another).await.expect("a second calendar of the account");
    let listed = pb::ListCalendarsRequest {
        context: world.context(),
        connection_id: connection,
        page_token: String::new(),
    };
    let listed = world.client().list_calendars(listed).await.expect("calendars").into_inner();
    assert_eq!(listed.calendars.len(), 3);
    assert!(listed.calendars[0].primary);

    // Another organization cannot have it too, nor reach the connection.
    let other = World { company: world.db.company().await, google: world.google.clone(), ..world };
    let (granted, state) =
        other.google.consent(&other.begin(holidays, "from_google").await.expect("an address"));
    assert_eq!(code(other.complete(&granted, &state).await), "calendar_taken");
    let (granted, state) = other.google.consent(&other.begin("", "").await.expect("an address"));
    other.complete(&granted, &state).await.expect("the account itself may serve two organizations");
    let foreign = pb::ListEventsRequest { connection_id: listed_connection(&other).await, ..other.list("") };
    assert_eq!(code(other.client().list_events(foreign).await), "unknownConnection");
}

async fn listed_connection(world: &World) -> String {
    let company = world.company;
    let id = world
        .value(&format!("SELECT id FROM google_calendar_connections WHERE company_id <> '{company}' LIMIT 1"))
        .await;
    id.as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn without_credentials_it_says_what_to_set() {
    let world = World::with(&[("GOOGLE_CLIENT_SECRET", ""), ("GOOGLE_REDIRECT_URI", "")]).await;
    let status = world
        .client()
        .get_status(pb::GetStatusRequest { context: None })
        .await
        .expect("a reply")
        .into_inner();
    assert_eq!((status.configured, status.active_key.as_str()), (false, "a"));
    assert_eq!(status.missing, ["GOOGLE_CLIENT_SECRET", "GOOGLE_REDIRECT_URI"]);
    let refused = world.begin("", "").await.expect_err("no credential");
    assert!(refused.message().contains("GOOGLE_CLIENT_SECRET"), "{}", refused.message());
}
