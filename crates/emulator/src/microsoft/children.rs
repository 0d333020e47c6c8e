//! Listing the children of a folder, in pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::http::{Call, PageFault, Reply};
use crate::microsoft::drive::Drive;
use crate::microsoft::errors::GraphError;
use crate::microsoft::item_json::{ItemWriter, SEGMENT};
use crate::microsoft::json;
use crate::microsoft::select::Select;
use crate::microsoft::tree::by_name;
use percent_encoding::utf8_percent_encode;

const DEFAULT_TOP: usize = 200;
const MAX_TOP: usize = 5000;

/// Serves a page of children. As the service warns, paging while others write may skip items.
pub(crate) fn serve(drive: &mut Drive, folder: u32, call: &Call, now: i64) -> Result<Reply, GraphError> {
    let top = match call.query("$top").map(|text| text.parse::<usize>()) {
        None => DEFAULT_TOP,
        Some(Ok(top)) if top > 0 => top.min(MAX_TOP),
        Some(_) => return Err(GraphError::invalid("Invalid value for $top.")),
    };
    let offset = match call.query("$skiptoken") {
        None => 0,
        Some(token) => {
            parse(&token).ok_or_else(|| GraphError::invalid("The provided skip token is not valid."))?
        }
    };
    drive.pages = drive.pages.wrapping_add(1);
    let drive = &*drive;
    let select_text = call.query("$select");
    let mut children: Vec<u32> = drive.tree.children(folder).to_vec();
    if call.query("$orderby").is_some_and(|order| order.trim().eq_ignore_ascii_case("name desc")) {
        children.sort_by(|left, right| by_name(&drive.tree, *right, *left));
    }
    let size = if call.page_fault == Some(PageFault::Empty) { 0 } else { top };
    let page: Vec<u32> = children.iter().skip(offset).take(size).copied().collect();
    let next = offset + page.len();

    let mut value = Vec::with_capacity(page.len() * 700);
    let mut writer = ItemWriter::new(drive, &call.origin, Select::parse(select_text.as_deref()), now);
    for index in page {
        if !value.is_empty() {
            value.push(b',');
        }
        writer.write(index, &mut value);
    }
    let link = match call.page_fault {
        Some(PageFault::Loop) => Some(call.url()),
        Some(PageFault::Empty) => Some(next_link(drive, folder, call, next, top)),
        None => (next < children.len()).then(|| next_link(drive, folder, call, next, top)),
    };
    let mut out = Vec::with_capacity(value.len() + 512);
    out.extend_from_slice(b"{\"@odata.context\":\"");
    json::escaped(&mut out, &call.origin);
    out.extend_from_slice(b"/v1.0/$metadata#Collection(driveItem)\",\"@odata.count\":");
    json::number(&mut out, children.len() as u64);
    if let Some(link) = link {
        out.extend_from_slice(b",\"@odata.nextLink\":");
        json::string(&mut out, &link);
    }
    out.extend_from_slice(b",\"value\":[");
    out.extend_from_slice(&value);
    out.extend_from_slice(b"]}");
    Ok(Reply::json_bytes(200, out))
}

fn next_link(drive: &Drive, folder: u32, call: &Call, offset: usize, top: usize) -> String {
    let token = URL_SAFE_NO_PAD.encode(format!("Paged={}&p={offset}", drive.pages));
    let mut link = format!(
        "{}/v1.0/drives/{}/items/{}/children?$top={top}",
        call.origin,
        utf8_percent_encode(&drive.id, SEGMENT),
        drive.ids.text(folder),
    );
    for option in ["$select", "$orderby"] {
        if let Some(value) = call.query(option) {
            link = format!("{link}&{option}={}", utf8_percent_encode(&value, SEGMENT));
        }
    }
    format!("{link}&$skiptoken={token}")
}

fn parse(token: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.rsplit_once("&p=")?.1.parse().ok()
}
