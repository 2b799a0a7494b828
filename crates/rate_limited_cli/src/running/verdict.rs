//! From what became of a call to its line of the output.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use rate_limited::http::Answer;
use rate_limited::journal::Begun;
use rate_limited::{Amount, AttemptError, Class, Failure as Why, Finished};

use crate::calling::call::{CallError, Reply};
use crate::reading::request::Request;
use crate::running::bill::Bill;
use crate::running::job::Job;
use crate::running::price;
use crate::writing::record::{self, Failure, Kept, Record, Response, Spent, code};

type Error = AttemptError<Reply>;

/// What became of a call, and its line.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) line: Vec<u8>,
    /// The code of its error; `None` for a success.
    pub(crate) code: Option<String>,
    /// What a fatal answer said.
    pub(crate) fatal: Option<String>,
}

impl Verdict {
    fn fatal(self, fatal: Option<String>) -> Verdict {
        Verdict { fatal, ..self }
    }
}

/// The verdict on a call that is over.
pub(crate) fn of_finished(finished: &Finished<Arc<Job>, Reply>) -> Verdict {
    let result = &finished.result;
    let failure = match &result.value {
        Some(_) => None,
        // Of a pool, without another attempt: it fits into none that is left.
        None if finished.why == Some(Why::Fatal) && result.errors.is_empty() => Some(Failure {
            code: code::NOT_RUN.into(),
            message: "no member of the pool that is left is large enough for the request".into(),
            class: "not_sent".into(),
            attempts: result.attempts,
        }),
        None => Some(failure(&result.errors, result.attempts)),
    };
    let answer = match &result.value {
        Some(reply) => Some(&reply.answer),
        None => result.errors.iter().rev().find_map(answer_of),
    };
    let fatal = (finished.why == Some(Why::Fatal))
        .then(|| result.errors.last().map(ToString::to_string))
        .flatten();
    let spent = Spent {
        attempts: result.attempts,
        tokens: result.value.as_ref().and_then(|reply| reply.tokens),
        is_json: result.value.as_ref().is_some_and(|reply| reply.is_json),
    };
    verdict(&finished.request, answer.map(response), failure, spent).fatal(fatal)
}

/// What the journal keeps of a verdict.
pub(crate) fn kept_part<'a>(verdict: &'a Verdict, job: &Job) -> &'a [u8] {
    let Request {
        line,
        custom_id,
        row,
        ..
    } = &job.request;
    if let Some(row) = row {
        return row.part_of(&verdict.line).unwrap_or(&verdict.line);
    }
    record::kept_part(&verdict.line, *line, custom_id.is_some())
}

/// The line of a request that is not sent because of what happened to it before.
pub(crate) fn line_of_kept_back(request: &Request, code: &str, begun: &Begun) -> Vec<u8> {
    let Begun {
        attempts, crashes, ..
    } = *begun;
    let message = if code == code::UNKNOWN {
        "the request was in flight when an earlier run died: it may have been answered, and was left \
         alone (--on-unknown skip)"
            .to_owned()
    } else {
        format!(
            "the request was in flight in {crashes} crashes and may be what causes them: it is not sent any \
             more, but with --retry-failed"
        )
    };
    let failure = Failure {
        code: code.into(),
        message: message.into(),
        class: "not_sent".into(),
        attempts,
    };
    let record = Record {
        line: request.line,
        custom_id: request.custom_id.as_deref(),
        response: None,
        error: Some(failure),
    };
    record.line_in(request.row.as_ref(), Spent::default())
}

/// The verdict on a call that may cost more than is left of the bound on costs.
pub(crate) fn of_too_dear(job: &Job, bill: &Bill, attempts: u32) -> Verdict {
    let bound = job.charge.map_or(Amount::ZERO, |charge| charge.bound);
    let mut message = format!(
        "it may cost {}, more than is left of {} (--max-cost)",
        price::shown(bound),
        price::shown(bill.most)
    );
    if let Some(last) = job.last().as_deref() {
        let _ = write!(message, "; its last error: {}", last.message);
    }
    let failure = Failure {
        code: code::NOT_RUN.into(),
        message: message.into(),
        class: if attempts == 0 {
            "not_sent"
        } else {
            "not_finished"
        }
        .into(),
        attempts,
    };
    verdict(job, None, Some(failure), Spent::default())
}

/// The verdict on a call that was not over when the run ended for the reason `why`.
pub(crate) fn of_open(job: &Job, why: &str) -> Verdict {
    let sent = job.sent();
    let last = job.last();
    let (code, message, class) = if job.is_in_flight() {
        let message = format!("{why} while the request was in flight: it may have been answered");
        (code::INTERRUPTED, message, "interrupted")
    } else if let Some(last) = last.as_deref() {
        let message = format!(
            "{why} before the request could be tried again; its last error: {}",
            last.message
        );
        (code::NOT_RUN, message, "not_finished")
    } else {
        (
            code::NOT_RUN,
            format!("{why} before the request was sent"),
            "not_sent",
        )
    };
    let answer = last.as_deref().and_then(|last| last.answer.as_ref());
    let failure = Failure {
        code: code.into(),
        message: message.into(),
        class: class.into(),
        attempts: sent,
    };
    let response = answer.map(Kept::response);
    verdict(job, response, Some(failure), Spent::default())
}

fn verdict(
    job: &Job,
    response: Option<Response<'_>>,
    failure: Option<Failure<'_>>,
    spent: Spent,
) -> Verdict {
    let record = Record {
        line: job.request.line,
        custom_id: job.request.custom_id.as_deref(),
        response,
        error: failure,
    };
    let line = record.line_in(job.request.row.as_ref(), spent);
    let code = record.error.map(|failure| failure.code.into_owned());
    Verdict {
        line,
        code,
        fatal: None,
    }
}

fn response(answer: &Answer) -> Response<'_> {
    Response {
        status_code: answer.status,
        request_id: answer.request_id.as_deref(),
        body: &answer.body,
    }
}

/// The failure that the last attempt stands for.
fn failure(errors: &[Error], attempts: u32) -> Failure<'_> {
    let (code, message, class): (Cow<'_, str>, Cow<'_, str>, &str) = match errors.last() {
        Some(Error::Failed(error) | Error::Refused(error)) => match error.downcast_ref() {
            Some(error) => of_call(error),
            None => (code::INTERNAL.into(), error.to_string().into(), "failure"),
        },
        Some(error @ (Error::TimedOut(_) | Error::CallTimedOut)) => {
            (code::TIMEOUT.into(), error.to_string().into(), "failure")
        }
        Some(error @ Error::NeverFits(_)) => (
            code::NEVER_FITS.into(),
            error.to_string().into(),
            "not_sent",
        ),
        Some(error @ Error::Invalid(reply)) => {
            let fault = reply.fault.as_deref().map(Cow::from);
            let fault = fault.unwrap_or_else(|| error.to_string().into());
            (code::VALIDATION.into(), fault, "invalid")
        }
        Some(error) => (code::INTERNAL.into(), error.to_string().into(), "failure"),
        None => (
            code::INTERNAL.into(),
            "the call ended without a reason".into(),
            "failure",
        ),
    };
    Failure {
        code,
        message,
        class: class.into(),
        attempts,
    }
}

fn of_call(error: &CallError) -> (Cow<'_, str>, Cow<'_, str>, &'static str) {
    if error.is_maybe_done() {
        return (code::UNKNOWN.into(), error.message(), "failure");
    }
    if let CallError::TooLong { .. } = error {
        return (code::TIMEOUT.into(), error.message(), "failure");
    }
    match error.http() {
        Some(http) => (
            http.code().into(),
            error.message(),
            class_name(http.class()),
        ),
        None => (code::INTERNAL.into(), error.message(), "failure"),
    }
}

fn class_name(class: Class) -> &'static str {
    match class {
        Class::Permanent => "permanent",
        Class::Fatal => "fatal",
        Class::Refused { .. } => "refused",
        Class::Overloaded { .. } => "overloaded",
        Class::NotSent => "not_sent",
        _ => "failure",
    }
}

fn answer_of(error: &Error) -> Option<&Answer> {
    let error = match error {
        Error::Failed(error) | Error::Refused(error) => error,
        Error::Invalid(reply) => return Some(&reply.answer),
        _ => return None,
    };
    error.downcast_ref::<CallError>()?.http()?.answer()
}
