//! The command `rate-limited`.

fn main() {
    std::process::exit(rate_limited_cli::main(std::env::args_os()));
}
