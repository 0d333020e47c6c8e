//! Bodies of events: Outlook keeps text as a page of HTML (itemBody, Graph v1.0), and answers it so.

use serde_json::{Value, json};

use super::read::text;

/// What stands in a body. HTML that says no more than its text is answered as text, so that what the application gave
/// comes back to it; other markup stays.
pub(super) fn description(body: &Value) -> Option<String> {
    let content = text(body, "content")?;
    let is_html = body["contentType"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
    let found = if is_html {
        let inner = inner(&content);
        flat(inner).unwrap_or_else(|| inner.to_owned())
    } else {
        content.replace("\r\n", "\n")
    };
    Some(found.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The body of a description: as HTML where it has markup.
pub(super) fn body(description: Option<&str>) -> Value {
    let content = description.unwrap_or_default();
    let opens = |(at, _): (usize, &str)| {
        content[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'))
    };
    let kind = if content.match_indices('<').any(opens) { "html" } else { "text" };
    json!({ "contentType": kind, "content": content })
}

/// The inside of the page's body.
fn inner(page: &str) -> &str {
    let lower = page.to_ascii_lowercase();
    let begin = lower.find("<body").and_then(|at| Some(at + lower[at..].find('>')? + 1)).unwrap_or(0);
    let end = lower.rfind("</body>").filter(|end| *end >= begin).unwrap_or(page.len());
    page[begin..end].trim()
}

/// The text of HTML that has nothing but lines; `None` for any other.
fn flat(html: &str) -> Option<String> {
    let mut found = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&', '\n', '\r']) {
        found.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('<') {
            let end = rest.find('>')?;
            match rest[1..end].to_ascii_lowercase().trim_end_matches([' ', '/']) {
                "br" | "/div" | "/p" => found.push('\n'),
                "div" | "p" | "div class=\"plaintext\"" => {}
                _ => return None,
            }
            rest = &rest[end + 1..];
        } else if rest.starts_with('&') {
            let end = rest.find(';').filter(|end| *end <= 8)?;
            found.push(match &rest[1..end] {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "nbsp" => ' ',
                name => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
            });
            rest = &rest[end + 1..];
        } else {
            // White space of the page, not of the text.
            rest = rest.trim_start_matches(['\n', '\r']);
            if !found.is_empty() && !found.ends_with(['\n', ' ']) {
                found.push(' ');
            }
        }
    }
    found.push_str(rest);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Option<String> {
        description(&json!({ "contentType": "html", "content": content }))
    }

    #[test]
    fn text_comes_back_as_text() {
        let page =
            |inner: &str| format!("<html><head>\r\n<meta x></head><body>\r\n{inner}\r\n</body></html>\r\n");
        for (inner, text) in [
            ("cake &amp; tea", "cake & tea"),
            ("one<br>\ntwo", "one\ntwo"),
            ("<div class=\"PlainText\">a &lt; b</div>", "a < b"),
            ("a\r\nb", "a b"),
            ("<b>bold</b> &amp; more", "<b>bold</b> &amp; more"),
        ] {
            assert_eq!(read(&page(inner)).as_deref(), Some(text), "{inner}");
        }
        assert_eq!(read(&page("")), None);
        assert_eq!(body(Some("a < b & c"))["contentType"], "text");
        assert_eq!(body(Some("<p>a</p>"))["contentType"], "html");
    }
}
