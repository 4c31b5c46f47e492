//! What packaging and the local cloud both need of the developer's machine: its interpreters, and folders that are the
//! user's alone.

pub mod interpreter;
pub mod own_folder;
