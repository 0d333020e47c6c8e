//! What the server does to the HTML of descriptions: an echo differs from what was sent.

/// Elements whose content goes with them.
const DROPPED: [&str; 4] = ["script", "style", "iframe", "object"];
/// Elements that stay.
const KEPT: [&str; 14] =
    ["a", "b", "br", "em", "i", "li", "ol", "p", "span", "strong", "u", "ul", "div", "html-blob"];

/// Lower-case tags, no unknown elements, no handlers, `<br>` without a slash, line feeds only.
pub(crate) fn sanitise(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    if !text.contains('<') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag_on = &rest[at..];
        let Some(end) = tag_on.find('>') else {
            out.push_str("&lt;");
            rest = &tag_on[1..];
            continue;
        };
        let inside = tag_on[1..end].trim();
        rest = &tag_on[end + 1..];
        let closing = inside.starts_with('/');
        let body = inside.trim_start_matches('/').trim_end_matches('/').trim();
        let (name, attributes) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
        let name = name.to_ascii_lowercase();
        if DROPPED.contains(&name.as_str()) {
            if !closing {
                let close = format!("</{name}");
                let lower = rest.to_ascii_lowercase();
                rest = match lower.find(&close) {
                    Some(from) => rest[from..].split_once('>').map_or("", |(_, after)| after),
                    None => "",
                };
            }
            continue;
        }
        if !KEPT.contains(&name.as_str()) {
            continue;
        }
        out.push('<');
        if closing {
            out.push('/');
        }
        out.push_str(&name);
        if !closing
            && name == "a"
            && let Some(link) = link(attributes)
        {
            out.push_str(" href=\"");
            out.push_str(link);
            out.push('"');
        }
        out.push('>');
    }
    out.push_str(rest);
    out
}

fn link(attributes: &str) -> Option<&str> {
    let at = attributes.find("href=")?;
    let value = &attributes[at + 5..];
    let quote = value.chars().next()?;
    let link = if quote == '"' || quote == '\'' {
        value[1..].split(quote).next()?
    } else {
        value.split_whitespace().next()?
    };
    (!link.to_ascii_lowercase().starts_with("javascript:")).then_some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e42_an_echo_is_not_what_was_sent() {
        assert_eq!(sanitise("plain\r\ntext & more"), "plain\ntext & more");
        assert_eq!(sanitise("<B onclick=\"x\">a</B><br/><script>evil()</script>b"), "<b>a</b><br>b");
        assert_eq!(
            sanitise("<a HREF=x href='https://e.org/?a=1'>l</a>"),
            "<a href=\"https://e.org/?a=1\">l</a>"
        );
        assert_eq!(sanitise("1 < 2"), "1 &lt; 2");
        let once = sanitise("<p>x</p><custom>y</custom>");
        assert_eq!((sanitise(&once), once.as_str()), (once.clone(), "<p>x</p>y"));
    }
}
