//! Text as the provider may have normalised it.

use std::iter::Peekable;
use std::str::Chars;

/// The words of a text: without markup, script and style, with the usual entities decoded and white
/// space folded. Two texts with the same words may be one text before and after sanitising.
pub fn plain(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut hidden: Option<String> = None;
    while let Some(c) = chars.next() {
        match c {
            '<' if chars
                .peek()
                .is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, '/' | '!')) =>
            {
                let name = tag(&mut chars);
                match &hidden {
                    None if name == "script" || name == "style" => hidden = Some(format!("/{name}")),
                    Some(end) if *end == name => hidden = None,
                    _ => {}
                }
                words.push(' ');
            }
            _ if hidden.is_some() => {}
            '&' => words.push(entity(&mut chars)),
            c => words.push(c),
        }
    }
    let mut folded = String::with_capacity(words.len());
    for word in words.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded
}

/// The lower-case name of a tag whose `<` is read; reads up to its `>`.
fn tag(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    let mut named = false;
    for c in chars.by_ref() {
        if c == '>' {
            break;
        }
        named |= c.is_whitespace() || (c == '/' && !name.is_empty());
        if !named {
            name.push(c.to_ascii_lowercase());
        }
    }
    name
}

/// The character of an entity whose `&` is read; `&` itself where it is none.
fn entity(chars: &mut Peekable<Chars<'_>>) -> char {
    let ahead: String = chars.clone().take(8).take_while(|c| *c != ';').collect();
    let found = match ahead.as_str() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" | "#39" => '\'',
        "nbsp" | "#160" => ' ',
        _ => return '&',
    };
    for _ in 0..=ahead.len() {
        chars.next();
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plain;

    #[test]
    fn markup_goes_and_words_stay() {
        assert_eq!(plain("<b onclick=\"x\">Two</b>&nbsp;words<br/>\n"), "Two words");
        assert_eq!(plain("a<script>alert('x')</script>b"), "a b");
        assert_eq!(plain("1 < 2 && 3 &gt; 2"), "1 < 2 && 3 > 2");
        assert_eq!(plain("<unclosed"), "");
        assert_ne!(plain("one"), plain("two"));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,60}") {
            let words = plain(&text);
            prop_assert!(!words.contains("  "));
        }
    }
}
