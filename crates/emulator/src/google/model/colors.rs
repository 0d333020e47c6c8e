//! `colors.get`: the palette of events and calendars.

use serde_json::{Map, Value, json};

use super::Google;

const EVENT: [&str; 11] = [
    "#a4bdfc", "#7ae7bf", "#dbadff", "#ff887c", "#fbd75b", "#ffb878", "#46d6db", "#e1e1e1", "#5484ed",
    "#51b749", "#dc2127",
];
const CALENDAR: [&str; 24] = [
    "#ac725e", "#d06b64", "#f83a22", "#fa573c", "#ff7537", "#ffad46", "#42d692", "#16a765", "#7bd148",
    "#b3dc6c", "#fbe983", "#fad165", "#92e1c0", "#9fe1e7", "#9fc6e7", "#4986e7", "#9a9cff", "#b99aff",
    "#c2c2c2", "#cabdbf", "#cca6ac", "#f691b2", "#cd74e6", "#a47ae2",
];

fn palette(colors: &[&str]) -> Value {
    let entries: Map<String, Value> = colors
        .iter()
        .enumerate()
        .map(|(at, color)| ((at + 1).to_string(), json!({"background": color, "foreground": "#1d1d1d"})))
        .collect();
    Value::Object(entries)
}

impl Google {
    /// `colors.get`.
    pub fn colors(&self) -> Value {
        json!({
            "kind": "calendar#colors",
            "updated": "2012-02-14T00:00:00.000Z",
            "calendar": palette(&CALENDAR),
            "event": palette(&EVENT),
        })
    }
}
