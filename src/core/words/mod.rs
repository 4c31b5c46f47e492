//! The base of `core`: problems and their places, tokens, scopes, names, and the deserializer of template values. It
//! uses nothing else of wschat's.

mod deletion_policy;
pub mod deserialize;
pub mod naming;
mod problem;
mod reach;
pub mod runtimes;
mod scope;
mod shown;
mod token;

pub use deletion_policy::DeletionPolicy;
pub use problem::{Path, Position, Problem, ProblemKind, Step, instead, nearest};
pub use reach::reaches;
pub use scope::Scope;
pub use shown::shown;
pub use token::Token;
