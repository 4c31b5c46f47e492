//! From a project to a stack that runs: what AWS has is read here, and what a plan says is carried out.

pub mod execute;
pub mod read;
