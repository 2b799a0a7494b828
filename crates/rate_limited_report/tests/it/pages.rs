//! Pages are whole, need nothing, and keep to themselves what users did not ask for.

use std::time::Duration;

use rate_limited_report::{Attempt, Call, Example, Outcome, Report, Statistics, is_report};

/// A page has balanced tags, each attribute in quotes, and nothing that is loaded.
pub(crate) fn check_page(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page
        .split_once("<!-- rate-limited report -->")
        .expect("its mark")
        .1;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .expect("a name");
        assert!(
            tag.matches('"').count().is_multiple_of(2) && !tag.contains('<'),
            "{tag}"
        );
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        if name == "style" && !tag.starts_with('/') {
            rest = &rest[rest.find("</style>").expect("it ends")..];
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    for word in [
        "<script", "src=", "href=", "url(", "@import", "http://", "https://",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(
        !page.contains("NaN") && !page.contains("inf"),
        "a number is none"
    );
}

#[test]
fn names_and_codes_cannot_become_part_of_the_page() {
    let mut statistics = Statistics::default();
    statistics.begins(0);
    let took = Duration::from_millis(3);
    let evil = "</td><script>alert('CANARY-CODE and \"prompt\"')</script>";
    statistics.attempt(
        took,
        &Attempt {
            outcome: Outcome::Failed,
            code: Some(evil),
            took,
        },
    );
    statistics.call(&Call {
        name: "<b>&\u{1b}[31m",
        attempts: 2,
        took,
        code: Some(evil),
    });
    let mut report = statistics.report("<i>\"title\"</i>");
    check_page(&report.to_html());
    for told in [report.to_html(), report.to_json(), report.to_text()] {
        assert!(
            !told.contains("CANARY-CODE") && !told.contains('\u{1b}'),
            "{told}"
        );
        assert!(told.contains("other"), "{told}");
    }
    report.notes = vec![evil.to_owned()];
    let example = || Example {
        call: evil.into(),
        code: evil.into(),
        text: evil.into(),
    };
    report.examples = vec![example(), example()];
    let page = report.to_html();
    check_page(&page);
    assert!(page.contains("CANARY-CODE"), "it was asked for");
}

#[test]
fn an_empty_report_is_a_page_too() {
    let report = Report::default();
    check_page(&report.to_html());
    assert!(
        report
            .to_text()
            .starts_with("rate-limited report: \n0 calls: 0 succeeded, 0 failed")
    );
    assert!(is_report(
        Statistics::default().report("").to_json().as_bytes()
    ));
    assert!(!is_report(b"") && !is_report(b"<!doctype html>\n<html>"));
}
