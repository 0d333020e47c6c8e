//! Timestamps as Graph writes them: zero to seven fractional digits, `Z` or an offset, or no zone at all.

use chrono::{DateTime, NaiveDateTime, Utc};

/// Reads a timestamp; one without a zone is UTC (`innerError.date` comes like that). `None` for anything else.
pub fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(with_zone) = DateTime::parse_from_rfc3339(text) {
        return Some(with_zone.with_timezone(&Utc));
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|naive| naive.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_forms_seen() {
        let cases = [
            ("2016-03-21T20:01:37Z", "2016-03-21T20:01:37+00:00"),
            ("2016-09-16T03:37:04.72Z", "2016-09-16T03:37:04.720+00:00"),
            ("2016-11-20T18:23:45.9356913Z", "2016-11-20T18:23:45.935691300+00:00"),
            ("2024-10-25T13:11:15-08:00", "2024-10-25T21:11:15+00:00"),
            ("2020-09-02T13:13:42", "2020-09-02T13:13:42+00:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_timestamp(text).expect(text).to_rfc3339(), expected);
        }
        for text in ["", "NA", "datetime", "String (timestamp)", "2016-03-21", "2016-13-21T20:01:37Z"] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number_of_digits(digits in "[0-9]{1,7}") {
            let text = format!("2024-02-29T23:59:59.{digits}Z");
            prop_assert!(parse_timestamp(&text).is_some());
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = parse_timestamp(&text);
        }
    }
}
