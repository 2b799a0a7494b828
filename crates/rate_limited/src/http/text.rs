//! Foreign text made fit for one line of ours.

/// The text on one line of at most `chars_max` characters: white space collapsed, control and
/// direction characters escaped, so that it can neither break a log nor steer a terminal.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    if text.len() <= chars_max && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut line = String::new();
    let mut left = chars_max;
    for (number, word) in text.split_whitespace().enumerate() {
        if number > 0 && left > 0 {
            line.push(' ');
            left -= 1;
        }
        for char in word.chars() {
            if left == 0 {
                line.push('…');
                return line;
            }
            push_escaped(&mut line, char);
            left -= 1;
        }
    }
    line
}

fn push_escaped(line: &mut String, char: char) {
    let steers = matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if char.is_control() || steers {
        line.extend(char.escape_default());
    } else {
        line.push(char);
    }
}

/// The text with the parts of URLs hidden that may hold a secret: user names, passwords, queries.
pub(super) fn scrub_urls(text: &str) -> String {
    let mut scrubbed = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(ends_url).unwrap_or(after.len());
        scrubbed.push_str(before);
        push_scrubbed(&mut scrubbed, &after[..end]);
        rest = &after[end..];
    }
    scrubbed.push_str(rest);
    scrubbed
}

fn ends_url(char: char) -> bool {
    char.is_whitespace()
        || matches!(
            char,
            '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | ','
        )
}

fn push_scrubbed(scrubbed: &mut String, url: &str) {
    let (place, query) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], Some(&url[at..=at])),
        None => (url, None),
    };
    let authority = place.find('/').unwrap_or(place.len());
    match place[..authority].rfind('@') {
        Some(at) => {
            scrubbed.push_str("***");
            scrubbed.push_str(&place[at..]);
        }
        None => scrubbed.push_str(place),
    }
    if let Some(mark) = query {
        scrubbed.push_str(mark);
        scrubbed.push_str("***");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines() {
        assert_eq!(
            one_line(" a\r\n\tb \u{1b}[31mred\u{202e} ", 99),
            "a b \\u{1b}[31mred\\u{202e}"
        );
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("abc", 3), "abc");
    }

    #[test]
    fn urls_lose_what_may_be_secret() {
        let text = "for url (http://u:p@h:1/a?key=K#f), https://h/b and ftp://x@y";
        let want = "for url (http://***@h:1/a?***), https://h/b and ftp://***@y";
        assert_eq!(scrub_urls(text), want);
        assert_eq!(scrub_urls("none :// at all"), "none :// at all");
    }
}
