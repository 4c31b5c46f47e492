//! The `wschat` command; everything is in the library.

/// The local cloud answers two fifths more messages a second with it than with glibc's allocator (`benches/local`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // A panic has told what it was (`ui::panics`), and the process fails as it does for every other error.
    std::panic::catch_unwind(wschat::cli::main).unwrap_or(std::process::ExitCode::FAILURE)
}
