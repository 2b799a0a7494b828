//! One attempt: a request out, an answer back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rate_limited::http::{Answer, Client, HttpError};
use rate_limited::{Class, Resources, sent};

use crate::gate::Gate;
use crate::job::Job;
use crate::meters::Meters;
use crate::request::Request;

/// A good answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// The tokens that it says were used.
    pub(crate) tokens: Option<u64>,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(crate) enum CallError {
    Http(HttpError),
    /// It was held back, since the first answers said that no call can succeed.
    HeldBack,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Http(error) => error.fmt(f),
            CallError::HeldBack => f.write_str("the request was held back"),
        }
    }
}

impl std::error::Error for CallError {}

/// Makes attempts; shared by all of them.
#[derive(Debug)]
pub(crate) struct Caller {
    client: Client,
    /// The path for requests without one.
    endpoint: Option<String>,
    gate: Option<Gate>,
    answers: AtomicU64,
    answer_micros: AtomicU64,
}

impl Caller {
    /// A caller; with a gate the first attempts go a few at a time.
    pub(crate) fn new(client: Client, endpoint: Option<String>, gate: Option<Gate>) -> Caller {
        Caller {
            client,
            endpoint,
            gate,
            answers: AtomicU64::new(0),
            answer_micros: AtomicU64::new(0),
        }
    }

    /// Makes one attempt.
    pub(crate) async fn call(self: Arc<Self>, job: Arc<Job>) -> Result<Reply, CallError> {
        let pass = match &self.gate {
            Some(gate) => {
                // What waits at the gate has not left; the client tells when it does.
                sent::defer();
                Some(gate.pass().await.map_err(|_| CallError::HeldBack)?)
            }
            None => None,
        };
        job.leaves();
        let started = Instant::now();
        let answer = self
            .client
            .post(self.path(&job.request), job.request.body.clone())
            .await;
        job.is_back();
        self.note(&answer, started.elapsed());
        drop(pass);
        let answer = answer.map_err(CallError::Http)?;
        Ok(Reply {
            tokens: answer.usage(),
            answer,
        })
    }

    /// How long good answers take on average.
    pub(crate) fn mean_latency(&self) -> Option<Duration> {
        let answers = self.answers.load(Ordering::Relaxed);
        let micros = self.answer_micros.load(Ordering::Relaxed);
        micros.checked_div(answers).map(Duration::from_micros)
    }

    fn path<'a>(&'a self, request: &'a Request) -> &'a str {
        let told = request.url_path.as_deref().or(self.endpoint.as_deref());
        told.unwrap_or(if request.generates {
            "/v1/chat/completions"
        } else {
            "/v1/embeddings"
        })
    }

    fn note(&self, answer: &Result<Answer, HttpError>, took: Duration) {
        if answer.is_ok() {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.answers.fetch_add(1, Ordering::Relaxed);
            self.answer_micros.fetch_add(micros, Ordering::Relaxed);
        }
        let Some(gate) = &self.gate else { return };
        match answer {
            Err(error) if error.class() == Class::Fatal => gate.shut(),
            // Without an answer nothing is known of the key.
            Err(error) if error.answer().is_none() => {}
            _ => gate.open(),
        }
    }
}

/// What an error means, with the resource that a refusal names.
pub(crate) fn class_of(
    error: &(dyn std::error::Error + Send + Sync + 'static),
    meters: &Meters,
    resources: &Resources,
) -> Class {
    match error.downcast_ref() {
        Some(CallError::Http(error)) => {
            error.class_with(|unit| meters.named(unit).and_then(|name| resources.find(name)))
        }
        Some(CallError::HeldBack) => Class::NotSent,
        None => Class::Failure,
    }
}
