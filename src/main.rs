//! The `wschat` command; everything is in the library.

fn main() -> std::process::ExitCode {
    wschat::cli::main()
}
