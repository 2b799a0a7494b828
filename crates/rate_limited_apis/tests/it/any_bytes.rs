//! Whatever comes, the readers return, and what they return is within bounds. The fuzz targets and the
//! tests run the same functions.

use rate_limited_apis::{Answer, Api, Headers, Moment, Request, WAIT_MAX, parse, wait_in_headers};
use rate_limited_core::Amount;

/// Every header has this value.
struct Same<'a>(&'a str);

impl Headers for Same<'_> {
    fn each(&self, _name: &str, visit: &mut dyn FnMut(&str)) {
        visit(self.0);
    }
}

/// All parsers on one text.
pub(crate) fn parsers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = Moment::from_seconds(1_795_521_600);
    let waits = [
        parse::seconds(&text),
        parse::milliseconds(&text),
        parse::proto_duration(&text),
        parse::go_duration(&text),
        parse::any_time(&text, now),
        parse::retry_after(&text, now),
        parse::wait_in_message(&text),
        wait_in_headers(&Same(&text), now),
    ];
    assert!(waits.into_iter().flatten().all(|wait| wait <= WAIT_MAX));
    let moments = [
        parse::epoch(&text),
        parse::rfc3339(&text),
        parse::js_date(&text),
        parse::http_date(&text, now),
    ];
    assert!(
        moments
            .into_iter()
            .flatten()
            .all(|moment| now.until(moment) <= WAIT_MAX)
    );
    assert!(parse::number(&text).is_none_or(|amount| amount >= Amount::ZERO));
    let _ = (parse::is_unknown(&text), parse::used_of(&text));
    let members = parse::structured(&text).unwrap_or_default();
    assert!(members.len() <= text.len() + 1);
    let policies = parse::policies(&text);
    assert!(policies.is_none_or(|told| told.all.len() <= text.len()));
}

/// Two bytes choose the API and the status; the rest is the body, and the value of every header.
pub(crate) fn answers(data: &[u8]) {
    let [api, status, body @ ..] = data else {
        return;
    };
    let statuses = [
        0, 200, 201, 204, 302, 400, 401, 402, 403, 404, 408, 409, 425, 429, 500, 503, 529, 600,
    ];
    let status = statuses[usize::from(*status) % statuses.len()];
    let api = Api::built_in().nth(usize::from(*api) % 24).expect("an API");
    let text = String::from_utf8_lossy(body);
    let headers = Same(&text);
    let told = api.read(
        &Answer::new(status, &headers, body),
        Moment::from_seconds(1_795_521_600),
    );
    assert!(told.wait.as_ref().is_none_or(|wait| wait.after <= WAIT_MAX));
    for reading in &told.readings {
        assert!(reading.limit.is_none_or(|limit| limit > Amount::ZERO));
        assert!(
            reading
                .remaining
                .is_none_or(|remaining| remaining >= Amount::ZERO)
        );
        assert!(reading.reset.is_none_or(|reset| reset.after <= WAIT_MAX));
    }
    assert!(told.usage.iter().all(|(_, amount)| *amount >= Amount::ZERO));
    assert!(
        told.charges
            .iter()
            .all(|(_, amount)| *amount >= Amount::ZERO)
    );
    let _ = told.kind(|_| None);

    let request = Request::post("/v1/chat/completions", body);
    assert!(
        api.costs(&request, 4_096)
            .iter()
            .all(|cost| cost.amount >= Amount::ZERO)
    );
}

/// A description of an API, which may be any text.
pub(crate) fn description(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Api::from_toml(&text) {
        Ok(api) => {
            let answer = Answer::new(429, &Same("7"), b"{}");
            let _ = (
                api.explain(),
                api.read(&answer, Moment::from_seconds(0)).class,
            );
            for resource in &api.resources {
                let now = Moment::from_seconds(1_795_521_600);
                let time_of = |_| rate_limited_core::Time::PROCESS_START;
                let quota = resource.quota(Amount::units(7), now, &time_of);
                assert!(quota.is_none_or(|quota| quota.capacity() > Amount::ZERO));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
