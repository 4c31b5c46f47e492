//! The ground that everything else in `core` stands on: problems and where they are, tokens, whose stack and where, and how
//! template values are read into Rust's types. It uses nothing else of wschat's.

mod deletion_policy;
pub mod deserialize;
pub mod naming;
mod problem;
pub mod runtimes;
mod scope;
mod shown;
mod token;

pub use deletion_policy::DeletionPolicy;
pub use problem::{Path, Position, Problem, ProblemKind, Step, nearest};
pub use scope::Scope;
pub use shown::shown;
pub use token::Token;
