//! Series and their exceptions.

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Value, json};

use super::{Outlook, body, day, text};

/// Subject and start of each occurrence that Outlook shows.
async fn shown(outlook: &Outlook, master: &str) -> Result<Vec<(String, String)>> {
    let window = format!("startDateTime={}T00:00:00Z&endDateTime={}T00:00:00Z&$top=100", day(0), day(90));
    let path = Outlook::at(&format!("/events/{}/instances?{window}", testkit::e2e::caller::encode(master)));
    let page = outlook.platform.graph.get(&path).await?;
    let mut all: Vec<(String, String)> = page["value"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|one| Ok((text(&one["start"]["dateTime"])?, text(&one["subject"])?)))
        .collect::<Result<_>>()?;
    all.sort();
    Ok(all)
}

#[tokio::test]
async fn a_series_of_ours_with_a_moved_and_a_deleted_occurrence_is_there() -> Result<()> {
    let outlook = Outlook::connect().await?;
    let api = &outlook.tenant.api;
    let first = day(10);
    let series = json!({"title": "Stand-up", "start_at": format!("{first}T12:00:00Z"),
        "end_at": format!("{first}T12:15:00Z"), "time_zone": "UTC", "recurrence": ["RRULE:FREQ=DAILY;COUNT=5"]});
    let id = text(&api.post("/api/events", &series).await?["id"])?;
    let path = format!("/api/events/{id}/occurrences");
    let moved = json!({"original_start": format!("{}T12:00:00Z", day(11)), "title": "Later",
        "start_at": format!("{}T15:00:00Z", day(11)), "end_at": format!("{}T15:15:00Z", day(11))});
    api.post(&path, &moved).await?;
    api.post(&path, &json!({"original_start": format!("{}T12:00:00Z", day(12)), "cancelled": true})).await?;
    outlook
        .until("series and exceptions are at Outlook", async || {
            let master = outlook.find("Stand-up").await?;
            let Some(id) = master["id"].as_str() else { return Ok(false) };
            let there = shown(&outlook, id).await?;
            Ok(outlook.told().await? && there.len() == 4 && there.iter().any(|(_, title)| title == "Later"))
        })
        .await?;
    let there = shown(&outlook, &text(&outlook.find("Stand-up").await?["id"])?).await?;
    ensure!(there[1] == (format!("{}T15:00:00.0000000", day(11)), "Later".to_owned()), "{there:?}");
    outlook.quiet().await?;
    let conflicts = outlook.number("SELECT count(*) FROM sync_conflicts").await?;
    ensure!(conflicts == 0 && outlook.rows("true").await?.len() == 2, "{conflicts} conflicts");

    // The series moves on with what it has.
    let renamed = json!({"title": "Stand-up, new"});
    api.matching(Method::PATCH, &format!("/api/events/{id}"), "*", &renamed).await?;
    outlook
        .until("a new title is there", async || Ok(outlook.find("Stand-up, new").await?.is_object()))
        .await?;
    let gone = format!("UPDATE events SET deleted_at = now() WHERE id = '{id}'");
    outlook.platform.sql.run(&gone).await?;
    outlook.until("the series is gone there", async || Ok(outlook.listed().await?.is_empty())).await?;
    outlook.close().await
}

#[tokio::test]
async fn a_series_of_theirs_with_a_moved_and_a_deleted_occurrence_is_here() -> Result<()> {
    let outlook = Outlook::connect().await?;
    let first = day(10);
    let mut weekly = body("Review", first);
    weekly["recurrence"] = json!({"pattern": {"type": "daily", "interval": 7},
        "range": {"type": "numbered", "startDate": first.to_string(), "numberOfOccurrences": 5}});
    let made = outlook.platform.graph.post(&Outlook::at("/events"), &weekly).await?;
    let id = text(&made["id"])?;
    outlook.until("the series is here", async || outlook.has("Review").await).await?;
    let master = outlook.rows("title = 'Review'").await?.remove(0);
    ensure!(master["recurrence"] == json!(["RRULE:FREQ=DAILY;COUNT=5;INTERVAL=7"]), "{master}");

    let window = format!("startDateTime={}T00:00:00Z&endDateTime={}T00:00:00Z&$top=100", day(0), day(90));
    let path = Outlook::at(&format!("/events/{}/instances?{window}", testkit::e2e::caller::encode(&id)));
    let page = outlook.platform.graph.get(&path).await?;
    let occurrence = |n: usize| text(&page["value"][n]["id"]);
    let moved = body("Review, moved", day(18));
    outlook.change(&occurrence(1)?, &moved).await?;
    outlook.until("a moved occurrence is here", async || outlook.has("Review, moved").await).await?;
    let row = outlook.rows("title = 'Review, moved'").await?.remove(0);
    ensure!(row["series_event_id"] == master["id"] || row["recurring_event_id"] == json!(id), "{row}");
    let kept: Vec<Value> = outlook.rows("true").await?;
    ensure!(kept.len() == 2, "{kept:?}");

    outlook.remove(&occurrence(2)?).await?;
    let gone = format!(
        "SELECT count(*) FROM events WHERE deleted_at IS NOT NULL AND recurring_event_id = '{id}'
             AND original_start LIKE '{}%'",
        day(24)
    );
    outlook.until("a deleted occurrence is here", async || Ok(outlook.number(&gone).await? == 1)).await?;

    // An edit of the application to the moved occurrence.
    let edit = json!({"location": "Room 9"});
    let path = format!("/api/events/{}", text(&row["id"])?);
    outlook.tenant.api.matching(Method::PATCH, &path, "*", &edit).await?;
    outlook
        .until("an edit of the exception is there", async || {
            let path = Outlook::at(&format!("/events/{}", testkit::e2e::caller::encode(&occurrence(1)?)));
            Ok(outlook.platform.graph.get(&path).await?["location"]["displayName"] == "Room 9")
        })
        .await?;
    // Another rule ends the exceptions.
    let rule = json!({"recurrence": {"pattern": {"type": "daily", "interval": 3},
        "range": {"type": "numbered", "startDate": first.to_string(), "numberOfOccurrences": 4}}});
    outlook.change(&id, &rule).await?;
    outlook
        .until("the exceptions are gone here", async || {
            let rows = outlook.number("SELECT count(*) FROM events").await?;
            let master = outlook.rows("title = 'Review'").await?;
            Ok(rows == 1
                && master
                    .first()
                    .is_some_and(|row| row["recurrence"] == json!(["RRULE:FREQ=DAILY;COUNT=4;INTERVAL=3"])))
        })
        .await?;
    outlook.remove(&id).await?;
    outlook.until("the series is gone here", async || Ok(outlook.rows("true").await?.is_empty())).await?;
    outlook.close().await
}
