//! Random edits, and a client that follows by deltas alone: what it holds must be what a full list says.
//! `EMULATOR_SEED=n` runs one seed, `EMULATOR_SEEDS=n` that many.

use std::collections::BTreeMap;

use emulator::google::{ListParams, Orphans, Switches, Tombstones, WriteParams};
use serde_json::{Value, json};

use crate::stage::{ANNA, Stage};

const SEEDS: u64 = 60;
const STEPS: u64 = 60;

/// A small generator; the seed is printed with every failure.
struct Dice(u64);

impl Dice {
    fn next(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.next(from.len() as u64)).unwrap()]
    }
}

fn body(dice: &mut Dice) -> Value {
    let day = dice.next(20) + 1;
    let mut body = if dice.next(4) == 0 {
        json!({"start": {"date": format!("2026-12-{day:02}")}, "end": {"date": format!("2026-12-{:02}", day + 1)}})
    } else {
        let zone = dice.pick(&["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "UTC"]);
        let hour = dice.next(20);
        json!({"start": {"dateTime": format!("2026-12-{day:02}T{hour:02}:00:00"), "timeZone": zone},
            "end": {"dateTime": format!("2026-12-{day:02}T{:02}:30:00", hour + 1), "timeZone": zone}})
    };
    body["summary"] = json!(format!("Summary {}", dice.next(9)));
    if dice.next(2) == 0 {
        body["description"] =
            json!(dice.pick(&["plain", "<B>b</B><br/>", "a < b & c", "<p>x</p><script>y</script>"]));
    }
    if dice.next(3) == 0 {
        body["attendees"] =
            json!([{"email": "Guest@Other.org", "responseStatus": "accepted"}, {"email": "b@other.org"}]);
    }
    if dice.next(2) == 0 {
        let rule = dice.pick(&[
            "RRULE:FREQ=DAILY;COUNT=6",
            "RRULE:FREQ=WEEKLY;COUNT=4;BYDAY=MO,WE",
            "RRULE:FREQ=MONTHLY;UNTIL=20270601T000000Z",
            "RRULE:FREQ=DAILY;INTERVAL=3",
        ]);
        body["recurrence"] = json!([rule]);
    }
    body
}

/// The client's side: rows by id, and the token of the last run.
#[derive(Default)]
struct Mirror {
    rows: BTreeMap<String, Value>,
    token: Option<String>,
}

impl Mirror {
    fn follow(&mut self, stage: &mut Stage, size: usize) {
        let params =
            ListParams { sync_token: self.token.clone(), max_results: Some(size), ..ListParams::default() };
        let run = match stage.run(&params) {
            Ok(run) => run,
            Err(error) if error.status == 410 => {
                *self = Self::default();
                stage.run(&ListParams { sync_token: None, ..params }).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        self.token = run.token;
        assert!(self.token.is_some(), "a run ends with a token");
        // An exception may come before its series: series first.
        let (series, exceptions): (Vec<Value>, Vec<Value>) =
            run.items.into_iter().partition(|item| item.get("recurringEventId").is_none());
        for item in series.into_iter().chain(exceptions) {
            let id = item["id"].as_str().unwrap().to_owned();
            let exception = item.get("recurringEventId").is_some();
            if item["status"] == "cancelled" && !exception {
                self.rows.remove(&id);
                self.rows.retain(|_, row| row["recurringEventId"] != json!(id));
            } else {
                self.rows.insert(id, item);
            }
        }
        // An exception without a place in its series is none.
        let caller = stage.caller(ANNA);
        self.rows.retain(|_, row| {
            let Some(parent) = row["recurringEventId"].as_str() else { return true };
            let original = &row["originalStartTime"];
            let at = match original["date"].as_str() {
                Some(day) => day.to_owned(),
                None => original["dateTime"].as_str().unwrap().to_owned(),
            };
            let params =
                ListParams { original_start: Some(at), show_deleted: Some(true), ..ListParams::default() };
            let page = stage.google.instances(&caller, "primary", parent, &params).unwrap();
            page["items"][0]["id"] == row["id"]
        });
    }
}

fn instance_of(stage: &mut Stage, series: &str, dice: &mut Dice) -> Option<String> {
    let caller = stage.caller(ANNA);
    let params = ListParams { max_results: Some(8), ..ListParams::default() };
    let page = stage.google.instances(&caller, "primary", series, &params).ok()?;
    let items = page["items"].as_array()?;
    let one = items.get(usize::try_from(dice.next(items.len().max(1) as u64)).ok()?)?;
    one["id"].as_str().map(ToOwned::to_owned)
}

/// One edit; refusals are part of the game.
fn edit(stage: &mut Stage, dice: &mut Dice, ids: &mut Vec<String>) {
    stage.wait(i64::try_from(dice.next(3)).unwrap());
    if ids.is_empty() || dice.next(5) == 0 {
        let mut new = body(dice);
        new["id"] = json!(format!("event{}", ids.len()));
        ids.push(format!("event{}", ids.len()));
        stage.insert(new);
        return;
    }
    let mut id = ids[usize::try_from(dice.next(ids.len() as u64)).unwrap()].clone();
    if dice.next(2) == 0
        && let Some(instance) = instance_of(stage, &id, dice)
    {
        id = instance;
    }
    let _ = match dice.next(7) {
        0 | 1 => stage.try_patch(&id, json!({"summary": format!("s{}", dice.next(99))}), &WriteParams::default()).map(drop),
        2 => stage.put(&id, body(dice)).map(drop),
        3 => stage.delete(&id),
        4 => stage.try_patch(&id, json!({"status": "confirmed"}), &WriteParams::default()).map(drop),
        5 => stage
            .try_patch(&id, json!({"recurrence": ["RRULE:FREQ=DAILY;COUNT=3"]}), &WriteParams::default())
            .map(drop),
        _ => stage
            .try_patch(
                &id,
                json!({"reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": dice.next(60)}]}}),
                &WriteParams::default(),
            )
            .map(drop),
    };
}

/// What a client gets can be sent back without changing anything.
fn echo(stage: &mut Stage, seed: u64) {
    for row in stage.full().items {
        if row["status"] == "cancelled" {
            continue;
        }
        let id = row["id"].as_str().unwrap();
        let known = stage.get(id).unwrap();
        let patched = stage.patch(id, known.clone());
        assert_eq!(patched, known, "seed {seed}: PATCH of what was read changed it");
        let put = stage.put(id, known.clone()).unwrap();
        assert_eq!(put, known, "seed {seed}: PUT of what was read changed it");
    }
}

fn play(seed: u64) {
    let mut dice = Dice(seed);
    let switches = Switches {
        deleted_series: if seed % 7 < 3 { Orphans::Vanish } else { Orphans::Tombstone },
        tombstones: if seed.is_multiple_of(2) { Tombstones::Bare } else { Tombstones::Detailed },
        page_before_filter: !seed.is_multiple_of(3),
        exceptions_inherit: seed.is_multiple_of(5),
        ..Switches::default()
    };
    let mut stage = Stage::with(switches);
    let (mut mirror, mut ids) = (Mirror::default(), Vec::new());
    for step in 0..STEPS {
        edit(&mut stage, &mut dice, &mut ids);
        if dice.next(20) == 0 {
            stage.google.expire_tokens(ANNA).unwrap();
        }
        if dice.next(3) != 0 {
            continue;
        }
        mirror.follow(&mut stage, usize::try_from(dice.next(7) + 1).unwrap());
        let truth: BTreeMap<String, Value> = stage
            .full()
            .items
            .into_iter()
            .map(|item| (item["id"].as_str().unwrap().to_owned(), item))
            .collect();
        let ids = mirror.rows.keys().chain(truth.keys());
        let differ: Vec<_> = ids
            .filter(|id| mirror.rows.get(*id) != truth.get(*id))
            .map(|id| (id, mirror.rows.get(id), truth.get(id)))
            .collect();
        assert!(differ.is_empty(), "seed {seed}, step {step}: (id, client, provider) {differ:#?}");
        let dumped = stage.google.dump_events(ANNA);
        assert_eq!(dumped.len(), truth.len(), "seed {seed}, step {step}: the dump");
    }
    echo(&mut stage, seed);
}

#[test]
fn a_client_that_follows_deltas_holds_what_a_full_list_says() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("EMULATOR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("EMULATOR_SEEDS").unwrap_or(SEEDS),
    };
    println!("seeds {seeds:?}, {STEPS} edits each");
    seeds.for_each(play);
}
