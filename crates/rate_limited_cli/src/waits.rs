//! How long each part of an attempt may take.
#![expect(
    clippy::doc_markdown,
    reason = "these comments are the help, which is no Markdown"
)]

use std::time::Duration;

use clap::Args;
use rate_limited::http::ClientBuilder;

use crate::args::some_time;

/// How long the parts of an attempt may take; --timeout bounds the whole.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// How long to wait for a connection, name look-up and TLS included
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = some_time)]
    connect_timeout: Duration,
    /// How long to wait for an answer to begin, once the request is sent [default: as long as --timeout]
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    first_byte_timeout: Option<Duration>,
    /// How long an answer that has begun may be silent
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = some_time)]
    idle_timeout: Duration,
}

impl WaitArgs {
    /// Tells the client.
    pub(crate) fn tell(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = builder
            .connect_timeout(self.connect_timeout)
            .idle_timeout(self.idle_timeout);
        match self.first_byte_timeout {
            Some(limit) => builder.first_byte_timeout(limit),
            None => builder,
        }
    }
}
