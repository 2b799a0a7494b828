//! How long each part of an attempt may take.
use std::time::Duration;

use clap::Args;
use rate_limited::http::ClientBuilder;

use crate::args::some_time;

/// How long the parts of an attempt may take; --timeout bounds the whole.
#[derive(Clone, Debug, Args)]
pub(crate) struct WaitArgs {
    /// How long to wait for a connection, name look-up and TLS included
    #[arg(long = "connect-timeout", value_name = "DURATION", default_value = "10s", value_parser = some_time)]
    connect: Duration,
    /// How long to wait for an answer to begin, once the request is sent [default: as long as --timeout]
    #[arg(long = "first-byte-timeout", value_name = "DURATION", value_parser = some_time)]
    first_byte: Option<Duration>,
    /// How long an answer that has begun may be silent
    #[arg(long = "idle-timeout", value_name = "DURATION", default_value = "120s", value_parser = some_time)]
    idle: Duration,
    /// The fewest bytes a second that an answer has to bring, on average over the idle time-out; 0: none
    #[arg(long = "min-speed", value_name = "BYTES", default_value_t = 10)]
    min_speed: u32,
}

impl WaitArgs {
    /// Tells the client.
    pub(crate) fn tell(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = builder
            .connect_timeout(self.connect)
            .idle_timeout(self.idle)
            .min_speed(self.min_speed);
        match self.first_byte {
            Some(limit) => builder.first_byte_timeout(limit),
            None => builder,
        }
    }
}
