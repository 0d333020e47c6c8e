//! Pre-authenticated download URLs: good without a bearer token, and only for a while.

use crate::microsoft::drive::Drive;
use crate::microsoft::json;
use crate::rng::mix;
use percent_encoding::utf8_percent_encode;

/// A signature that binds item and expiry to this life of the drive. It guards nothing but the rule.
fn sign(drive: &Drive, index: u32, expires: i64) -> u64 {
    let (first, second) = drive.ids.guid(index);
    mix(first ^ mix(second ^ expires as u64 ^ drive.instance))
}

/// Appends `{origin}/_download/{drive}/{item}?tempauth=v1.{expiry}.{signature}`.
pub(crate) fn write_download_url(drive: &Drive, index: u32, origin: &str, now: i64, out: &mut Vec<u8>) {
    let expires = now / 1000 + drive.options.download_url_seconds;
    json::escaped(out, origin);
    out.extend_from_slice(b"/_download/");
    for part in utf8_percent_encode(&drive.id, crate::microsoft::item_json::SEGMENT) {
        json::escaped(out, part);
    }
    out.push(b'/');
    drive.ids.write(index, out);
    out.extend_from_slice(b"?tempauth=v1.");
    json::number(out, expires.max(0) as u64);
    out.push(b'.');
    json::hex(out, sign(drive, index, expires.max(0)), 16);
}

/// True when `tempauth` opens the item now.
pub(crate) fn opens(drive: &Drive, index: u32, tempauth: &str, now: i64) -> bool {
    let mut parts = tempauth.split('.');
    let (Some("v1"), Some(expires), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Ok(expires), Ok(signature)) = (expires.parse::<i64>(), u64::from_str_radix(signature, 16)) else {
        return false;
    };
    signature == sign(drive, index, expires) && now < expires * 1000
}
