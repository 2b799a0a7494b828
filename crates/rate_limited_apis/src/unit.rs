//! What is counted.

use std::fmt;

use serde::Deserialize;

macro_rules! units {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What a resource counts, what an answer reports, what a price is for.
        ///
        /// ```
        /// use rate_limited_apis::Unit;
        ///
        /// assert_eq!(Unit::InputTokens.to_string(), "input_tokens");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[non_exhaustive]
        pub enum Unit {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Unit {
            /// The name, as descriptions have it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Unit::$variant => $name,)+
                }
            }
        }
    };
}

units! {
    /// Attempts.
    Requests = "requests",
    /// Tokens in and out together.
    Tokens = "tokens",
    /// Tokens of prompts.
    InputTokens = "input_tokens",
    /// Tokens of answers.
    OutputTokens = "output_tokens",
    /// Tokens of prompts that were read from a cache; they are input tokens, too.
    CachedTokens = "cached_tokens",
    /// Tokens of thinking; they are output tokens, too.
    ReasoningTokens = "reasoning_tokens",
    /// Texts or images in one request, as embedding APIs count them.
    Inputs = "inputs",
    /// Images.
    Images = "images",
    /// Seconds of sound.
    AudioSeconds = "audio_seconds",
    /// Characters of text.
    Characters = "characters",
    /// Searches.
    Searches = "searches",
    /// Points of a cost that the API computes.
    Points = "points",
    /// Bytes.
    Bytes = "bytes",
    /// Calls in flight.
    InFlight = "in_flight",
    /// US dollars.
    Usd = "usd",
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
