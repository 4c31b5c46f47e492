//! The parts of the developer's machine that both packaging and the local cloud use: its interpreters, and private folders.

pub mod interpreter;
pub mod own_folder;
pub mod program;
