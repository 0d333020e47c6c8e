//! JSON and dates written straight into a buffer: a page of a thousand items must cost almost nothing.

/// Appends `text` as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Appends `text` as the inside of a JSON string.
pub(crate) fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean..at]);
        clean = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            control => {
                out.extend_from_slice(b"\\u00");
                hex(out, u64::from(*control), 2);
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
}

/// Appends a number.
pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends `digits` lower-case hexadecimal digits.
pub(crate) fn hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[((value >> (place * 4)) & 15) as usize]);
    }
}

/// Appends a GUID.
pub(crate) fn guid(out: &mut Vec<u8>, (first, second): (u64, u64)) {
    hex(out, first >> 32, 8);
    out.push(b'-');
    hex(out, first >> 16, 4);
    out.push(b'-');
    hex(out, first, 4);
    out.push(b'-');
    hex(out, second >> 48, 4);
    out.push(b'-');
    hex(out, second, 12);
}

/// Appends `2026-11-20T13:59:15Z`: SharePoint's dates have whole seconds.
pub(crate) fn date(out: &mut Vec<u8>, ms: i64) {
    let seconds = ms.div_euclid(1000);
    let day = seconds.div_euclid(86_400);
    let rest = seconds.rem_euclid(86_400) as u64;
    // Howard Hinnant's civil_from_days.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let two = |out: &mut Vec<u8>, value: u64| {
        out.push(b'0' + (value / 10 % 10) as u8);
        out.push(b'0' + (value % 10) as u8);
    };
    two(out, year as u64 / 100);
    two(out, year as u64 % 100);
    out.push(b'-');
    two(out, month as u64);
    out.push(b'-');
    two(out, day_of_month as u64);
    out.push(b'T');
    two(out, rest / 3600);
    out.push(b':');
    two(out, rest / 60 % 60);
    out.push(b':');
    two(out, rest % 60);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_chrono() {
        for ms in [0, 951_782_400_000, 1_709_208_000_999, 1_795_183_155_123, 4_102_444_799_000] {
            let mut out = Vec::new();
            date(&mut out, ms);
            let expected = chrono::DateTime::from_timestamp_millis(ms).unwrap().format("%Y-%m-%dT%H:%M:%SZ");
            assert_eq!(String::from_utf8(out).unwrap(), expected.to_string());
        }
    }

    #[test]
    fn strings_agree_with_serde() {
        for text in ["", "plain", "a\"b\\c", "tab\tnew\nline\u{1}", "l'été 📐 #%"] {
            let mut out = Vec::new();
            string(&mut out, text);
            let back: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(back, text);
        }
        let mut out = Vec::new();
        number(&mut out, 0);
        number(&mut out, u64::MAX);
        assert_eq!(out, format!("0{}", u64::MAX).into_bytes());
    }
}
