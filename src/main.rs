//! The `wschat` command; everything is in the library.

/// The local cloud answers two fifths more messages a second with it than with glibc's allocator (`benches/local`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    wschat::cli::main()
}
