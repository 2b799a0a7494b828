//! The command `rate-limited`.

/// A request is read on one thread, sent on a second and written on a third. The allocator of glibc takes a lock where one of
/// them frees what another one has allocated, and they wait for each other: a fifth of the CPU time of a call over loopback HTTP
/// (`benches/compare --overhead`).
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    std::process::exit(rate_limited_cli::main(std::env::args_os()));
}
