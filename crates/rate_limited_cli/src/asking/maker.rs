//! Where the requests that are made of rows go, and what they have in common.

use serde_json::{Map, Value};

use crate::args::RunArgs;
use crate::asking::body::{self, Bodies, Shape};
use crate::asking::template::text_of;
use crate::calling::key;
use crate::calling::preset::Preset;
use crate::refusal::{Refusal, refused};

/// Requests made of texts.
#[derive(Debug)]
pub(crate) struct Maker {
    pub(crate) bodies: Bodies,
    pub(crate) path: String,
}

impl Maker {
    /// What the command line makes of texts.
    ///
    /// # Errors
    /// It is not known what the path takes, which model is asked, or an option has no place there.
    pub(crate) fn of(
        args: &RunArgs,
        preset: Option<Preset>,
        has_system: bool,
    ) -> Result<Maker, Refusal> {
        let (told, model) = (&args.rows, &args.api.model);
        let fields = told
            .body
            .as_deref()
            .map(fields)
            .transpose()?
            .unwrap_or_default();
        let path = match (&args.api.endpoint, preset) {
            (Some(path), _) => path.clone(),
            (None, Some(preset)) => preset.path_of_rows(model.as_deref())?,
            (None, None) => "/v1/chat/completions".to_owned(),
        };
        let shape = Shape::of(&path).ok_or_else(|| {
            refused(format!(
                "it is not known what {path} takes, so that --prompt makes no request for it: write requests \
                 instead, or pass --endpoint with one of {}",
                body::KNOWN
            ))
        })?;
        if has_system && !shape.has_system() {
            return Err(refused(format!(
                "{path} takes no system prompt: write it into --prompt, or pass another --endpoint"
            )));
        }
        // Members of a pool may each have a model of their own.
        let is_public = args.api.pool.is_none() && key::is_at_default(&args.api, preset);
        if is_public && !args.simulates() && model.is_none() && !fields.contains_key("model") {
            return Err(refused(
                "it is not said which model is asked: pass --model NAME",
            ));
        }
        let mut bodies = Bodies {
            shape,
            model: model.clone(),
            max_tokens: told.max_tokens.filter(|_| shape.generates()),
            is_new: preset.is_some_and(|preset| preset.api().name == "openai"),
            fields,
        };
        bodies.check()?;
        if shape == Shape::Messages && !bodies.has_longest() {
            bodies.max_tokens = Some(args.limits.max_tokens_default);
        }
        Ok(Maker { bodies, path })
    }
}

/// The further fields of `--body`.
fn fields(told: &str) -> Result<Map<String, Value>, Refusal> {
    let text = text_of("--body", told).map_err(refused)?;
    serde_json::from_str(&text).map_err(|error| {
        refused(format!(
            "--body is no JSON object: {error}; write for example --body '{{\"temperature\": 0}}'"
        ))
    })
}
