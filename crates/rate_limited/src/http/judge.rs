//! Judges an answer: good, or an error of which class.

use rate_limited_apis::{self as apis, Api, Feedback};
use rate_limited_core::Class;
use reqwest::Method;

use super::body::{Body, Fault};
use super::head::Head;
use super::secrets::Secrets;
use super::text::{one_line, scrub_urls};
use super::transport::Transport;
use super::{Answer, HttpError, redirect};

const MESSAGE_CHARS: usize = 500;
const CODE_CHARS: usize = 64;
const EXCERPT_CHARS: usize = 200;

/// What the judgement needs to know of the client.
pub(super) struct Judge<'a> {
    pub(super) method: &'a Method,
    pub(super) api: &'static Api,
    pub(super) secrets: &'a Secrets,
    pub(super) transport: &'a Transport,
    pub(super) body_bytes_max: usize,
}

impl Judge<'_> {
    pub(super) fn judge(&self, head: &Head, body: Body) -> Result<Answer, HttpError> {
        let mut answer = Answer {
            status: head.status,
            request_id: head
                .request_id
                .as_deref()
                .map(|id| self.secrets.mask_text(id)),
            body: self
                .secrets
                .mask_bytes(body.bytes.into(), body.fault.is_some()),
            retry_after: head.wait,
            readings: Vec::new(),
            used: Vec::new(),
            charges: Vec::new(),
            model: None,
            unreadable: Vec::new(),
        };
        // The status of an error says more than what became of its body.
        if head.is_redirect() {
            return Err(self.redirected(head, answer));
        }
        let read = apis::Answer::new(head.status, &head.headers, &answer.body);
        let mut feedback = self.api.read(&read.repeatable(true), head.came);
        answer.readings = std::mem::take(&mut feedback.readings);
        answer.unreadable = std::mem::take(&mut feedback.unreadable);
        match body.fault.filter(|_| head.is_success()) {
            None if feedback.class == apis::Class::Success => {
                answer.used = feedback.usage;
                answer.charges = feedback.charges;
                answer.model = feedback.model;
                Ok(answer)
            }
            None => Err(self.refused(answer, &feedback)),
            Some(Fault::TooLarge) => Err(self.too_large(answer)),
            Some(Fault::Silent(limit)) => Err(self.transport.silent(limit).with_answer(answer)),
            Some(Fault::Slow(speed, stretch)) => {
                Err(self.transport.slow(speed, stretch).with_answer(answer))
            }
            Some(Fault::Broken(error)) => Err(self
                .transport
                .broken(error, self.secrets)
                .with_answer(answer)),
        }
    }

    fn refused(&self, mut answer: Answer, feedback: &Feedback<'static>) -> HttpError {
        let told = feedback.wait.as_ref().map(|wait| wait.after);
        answer.retry_after = answer.retry_after.or(told);
        let class = feedback.kind(|_| None);
        let code = feedback.code.as_deref();
        let code = code.map_or("http_status".into(), |code| self.shown(code, CODE_CHARS));
        let message = match &feedback.message {
            Some(message) => self.shown(message, MESSAGE_CHARS),
            None => self.described(&answer),
        };
        let resource = feedback.resource.and_then(|name| self.api.resource(name));
        let resource = resource.map(|resource| (resource.name.as_str(), resource.unit));
        let refused = matches!(class, Class::Refused { .. });
        HttpError::new(class, code, message)
            .with_resource(resource.filter(|_| refused))
            .with_answer(answer)
    }

    fn redirected(&self, head: &Head, answer: Answer) -> HttpError {
        let message = redirect::explained(head, self.method);
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
