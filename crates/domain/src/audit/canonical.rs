//! One text per JSON value: members sorted, no blanks (RFC 8785; numbers as serde_json prints them, which for whole
//! numbers and shortest decimals is the same).

use serde_json::Value;

/// The bytes that are hashed for a value. Members are sorted by their UTF-16 code units (RFC 8785 section 3.2.3).
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) => out.extend(number.to_string().as_bytes()),
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                string(name, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend(b"\\\""),
            '\\' => out.extend(b"\\\\"),
            '\u{8}' => out.extend(b"\\b"),
            '\u{c}' => out.extend(b"\\f"),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            c if u32::from(c) < 0x20 => out.extend(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(canonical(value)).expect("UTF-8")
    }

    #[test]
    fn members_are_sorted_and_nothing_is_between_them() {
        assert_eq!(
            text(&json!({"b": [1, 2.5, null], "a": {"z": true, "y": ""}})),
            r#"{"a":{"y":"","z":true},"b":[1,2.5,null]}"#
        );
    }

    #[test]
    fn names_sort_by_utf_16_and_texts_are_escaped_as_rfc_8785_says() {
        // The example of RFC 8785 section 3.2.3.
        let value =
            json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        let order: Vec<char> = text(&value).chars().filter(char::is_ascii_digit).collect();
        // The name "1" comes second and brings a digit of its own.
        assert_eq!(order.iter().collect::<String>(), "21467153");
        assert_eq!(text(&json!("\u{f}\n\"\\\u{2028}")), "\"\\u000f\\n\\\"\\\\\u{2028}\"");
    }

    #[test]
    fn a_value_read_again_has_the_same_bytes() {
        let value = json!({"a": 1.5e300, "b": -0.25, "c": u64::MAX, "d": "ü", "e": [[], {}]});
        let read: Value = serde_json::from_slice(&canonical(&value)).expect("JSON");
        assert_eq!(canonical(&read), canonical(&value));
    }
}
