//! Judges an answer: good, or an error of which class.

use rate_limited_core::Class;

use super::api_error::{ApiError, Shape, shape_of};
use super::body::{Body, Fault};
use super::classify::{class_of, status_of, unit_of};
use super::head::Head;
use super::retry_after::wait_in_message;
use super::secrets::Secrets;
use super::text::{one_line, scrub_urls};
use super::transport::Transport;
use super::{Answer, HttpError, redirect};

const MESSAGE_CHARS: usize = 500;
const CODE_CHARS: usize = 64;
const EXCERPT_CHARS: usize = 200;

/// What the judgement needs to know of the client.
pub(super) struct Judge<'a> {
    pub(super) secrets: &'a Secrets,
    pub(super) transport: &'a Transport,
    pub(super) body_bytes_max: usize,
}

impl Judge<'_> {
    pub(super) fn judge(&self, head: &Head, body: Body) -> Result<Answer, HttpError> {
        let answer = Answer {
            status: head.status,
            request_id: head
                .request_id
                .as_deref()
                .map(|id| self.secrets.mask_text(id)),
            body: self.secrets.mask_bytes(body.bytes.into()),
            retry_after: head.wait,
        };
        // The status of an error says more than what became of its body.
        if head.is_redirect() {
            return Err(self.redirected(head, answer));
        }
        if !head.is_success() {
            return Err(self.refused(answer));
        }
        match body.fault {
            None => self.judge_body(answer),
            Some(Fault::TooLarge) => Err(self.too_large(answer)),
            Some(Fault::Broken(error)) => Err(self
                .transport
                .broken(error, self.secrets)
                .with_answer(answer)),
        }
    }

    fn judge_body(&self, answer: Answer) -> Result<Answer, HttpError> {
        match shape_of(&answer.body) {
            Shape::Good => Ok(answer),
            Shape::Error => Err(self.refused(answer)),
            Shape::Bad(why) => {
                let message = format!("the answer is not usable: {why}");
                Err(HttpError::new(Class::Failure, "bad_answer", message).with_answer(answer))
            }
        }
    }

    fn refused(&self, mut answer: Answer) -> HttpError {
        let error = ApiError::parse(&answer.body);
        let hint = || error.message.as_deref().and_then(wait_in_message);
        answer.retry_after = answer.retry_after.or_else(hint);
        let status = if answer.status < 300 {
            status_of(&error)
        } else {
            answer.status
        };
        let class = class_of(status, &error, answer.retry_after);
        let code = error.code.as_deref().or(error.kind.as_deref());
        let code = code.map_or("http_status".into(), |code| self.shown(code, CODE_CHARS));
        let message = match &error.message {
            Some(message) => self.shown(message, MESSAGE_CHARS),
            None => self.described(&answer),
        };
        let unit = matches!(class, Class::Refused { .. })
            .then(|| unit_of(&error))
            .flatten();
        HttpError::new(class, code, message)
            .with_unit(unit)
            .with_answer(answer)
    }

    fn redirected(&self, head: &Head, answer: Answer) -> HttpError {
        let message = redirect::explained(head);
        let message = self.shown(&message, MESSAGE_CHARS);
        HttpError::new(Class::Permanent, "redirect", message).with_answer(answer)
    }

    fn too_large(&self, answer: Answer) -> HttpError {
        let message = format!("the answer is longer than {} bytes", self.body_bytes_max);
        HttpError::new(Class::Permanent, "too_large", message).with_answer(answer)
    }

    /// A message for an answer whose body has none of its own.
    fn described(&self, answer: &Answer) -> String {
        let reason = reqwest::StatusCode::from_u16(answer.status).ok();
        let reason = reason
            .and_then(|status| status.canonical_reason())
            .unwrap_or("no reason given");
        let body =
            String::from_utf8_lossy(&answer.body[..answer.body.len().min(4 * EXCERPT_CHARS)]);
        let body = body.trim_start();
        match body.chars().next() {
            None => format!("{reason}, with an empty body"),
            Some('<') => format!("{reason}, with a body that seems to be HTML"),
            Some(_) => format!("{reason}: {}", self.shown(body, EXCERPT_CHARS)),
        }
    }

    /// Foreign text as it may be shown.
    fn shown(&self, text: &str, chars_max: usize) -> String {
        one_line(&scrub_urls(&self.secrets.mask_text(text)), chars_max)
    }
}
