//! What a delta link holds. To clients it is opaque, and it changes at every page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::LinkStyle;
use crate::microsoft::drive::Drive;
use crate::microsoft::item_json::SEGMENT;
use crate::microsoft::tree::ROOT;
use crate::rng::{hash_bytes, mix};
use percent_encoding::utf8_percent_encode;

/// Where in its two passes a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Deletion markers of the round.
    Deletions,
    /// Everything else.
    Changes,
}

/// A place in the change log of a drive.
#[expect(clippy::struct_excessive_bools, reason = "bits of a token")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) epoch: u32,
    /// Low bits of the drive's instance.
    pub(crate) instance: u32,
    /// The folder whose delta this is.
    pub(crate) scope: u32,
    /// The round enumerates everything (no token was given).
    pub(crate) full: bool,
    pub(crate) exclude_parents: bool,
    pub(crate) phase: Phase,
    /// First log position of the round.
    pub(crate) start: u32,
    /// End of the log when the round began.
    pub(crate) end: u32,
    /// Next position to read.
    pub(crate) position: u32,
    pub(crate) top: u32,
    pub(crate) select: u32,
    /// Counts pages, so that links never repeat.
    pub(crate) nonce: u32,
    /// The empty page before this one has been sent.
    pub(crate) paused: bool,
    /// The folder whose delta this is has been reported in this round.
    pub(crate) opened: bool,
}

const LENGTH: usize = 1 + 9 * 4;

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadToken {
    /// Not one of ours.
    Malformed,
    /// Of another life or epoch: 410.
    Expired,
}

impl Cursor {
    /// A cursor at the beginning of a round over `scope`.
    pub(crate) fn begin(drive: &Drive, scope: u32, full: bool, position: u32) -> Self {
        let phase = if full || !drive.options.deletes_first { Phase::Changes } else { Phase::Deletions };
        Self {
            epoch: drive.token_epoch,
            instance: drive.instance as u32,
            scope,
            full,
            exclude_parents: false,
            phase,
            start: position,
            end: drive.tree.head(),
            position,
            top: 0,
            select: u32::MAX,
            nonce: 0,
            paused: false,
            opened: false,
        }
    }

    pub(crate) fn encode(&self) -> String {
        let flags = u8::from(self.full)
            | (u8::from(self.exclude_parents) << 1)
            | (u8::from(self.phase == Phase::Changes) << 2)
            | (u8::from(self.paused) << 3)
            | (u8::from(self.opened) << 4);
        let mut bytes = Vec::with_capacity(LENGTH + 4);
        bytes.push(flags);
        for word in [
            self.epoch,
            self.instance,
            self.scope,
            self.start,
            self.end,
            self.position,
            self.top,
            self.select,
            self.nonce,
        ] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        let check = hash_bytes(&bytes) as u32;
        // Scattered by the check, so that nobody reads a position out of it by eye.
        let mut mask = mix(u64::from(check));
        for byte in &mut bytes {
            *byte ^= mask as u8;
            mask = mask.rotate_right(8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        bytes.extend_from_slice(&check.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn decode(token: &str, drive: &Drive) -> Result<Self, BadToken> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken::Malformed)?;
        if bytes.len() != LENGTH + 4 {
            return Err(BadToken::Malformed);
        }
        let check =
            u32::from_be_bytes([bytes[LENGTH], bytes[LENGTH + 1], bytes[LENGTH + 2], bytes[LENGTH + 3]]);
        bytes.truncate(LENGTH);
        let mut mask = mix(u64::from(check));
        for byte in &mut bytes {
            *byte ^= mask as u8;
            mask = mask.rotate_right(8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        if hash_bytes(&bytes) as u32 != check {
            return Err(BadToken::Malformed);
        }
        let mut words = bytes[1..].chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
        let mut word = || words.next().unwrap_or_default();
        let flags = bytes[0];
        let cursor = Self {
            epoch: word(),
            instance: word(),
            scope: word(),
            start: word(),
            end: word(),
            position: word(),
            top: word(),
            select: word(),
            nonce: word(),
            full: flags & 1 != 0,
            exclude_parents: flags & 2 != 0,
            phase: if flags & 4 == 0 { Phase::Deletions } else { Phase::Changes },
            paused: flags & 8 != 0,
            opened: flags & 16 != 0,
        };
        if cursor.epoch != drive.token_epoch || cursor.instance != drive.instance as u32 {
            return Err(BadToken::Expired);
        }
        let head = drive.tree.head();
        if cursor.position > head
            || cursor.start > cursor.end
            || cursor.end > head
            || cursor.scope >= drive.tree.slots()
        {
            return Err(BadToken::Expired);
        }
        Ok(cursor)
    }

    /// The link that carries this cursor, in one of the documented spellings.
    pub(crate) fn link(&self, drive: &Drive, origin: &str) -> String {
        let token = self.encode();
        let id = utf8_percent_encode(&drive.id, SEGMENT);
        let style = match drive.options.link_style {
            LinkStyle::Rotate => match self.nonce % 4 {
                0 => LinkStyle::Query,
                1 => LinkStyle::Function,
                2 => LinkStyle::QueryFunction,
                _ => LinkStyle::Namespaced,
            },
            fixed => fixed,
        };
        let place = if self.scope == ROOT {
            "root".to_owned()
        } else {
            format!("items/{}", drive.ids.text(self.scope))
        };
        let base = format!("{origin}/v1.0/drives");
        match style {
            LinkStyle::Rotate | LinkStyle::Query => format!("{base}/{id}/{place}/delta?token={token}"),
            LinkStyle::Function => format!("{base}/{id}/{place}/delta(token='{token}')"),
            LinkStyle::QueryFunction => format!("{base}/{id}/{place}/delta?(token='{token}')"),
            LinkStyle::Namespaced => {
                let item = drive.ids.text(self.scope);
                format!("{base}('{id}')/items('{item}')/microsoft.graph.delta(token='{token}')")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DriveOptions;
    use crate::microsoft::drive::Backing;

    #[test]
    fn a_token_survives_the_trip_and_nothing_else_does() {
        let mut drive = Drive::new("b!x", DriveOptions::default(), 5, Backing::Memory, 0);
        let cursor = Cursor { top: 200, nonce: 3, ..Cursor::begin(&drive, ROOT, true, 0) };
        let token = cursor.encode();
        assert_eq!(Cursor::decode(&token, &drive), Ok(cursor));
        let mut forged = token.clone().into_bytes();
        forged[3] = if forged[3] == b'A' { b'B' } else { b'A' };
        assert_eq!(Cursor::decode(&String::from_utf8(forged).unwrap(), &drive), Err(BadToken::Malformed));
        drive.token_epoch += 1;
        assert_eq!(Cursor::decode(&token, &drive), Err(BadToken::Expired));
    }
}
