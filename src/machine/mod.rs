//! The parts of the developer's machine that both packaging and the local cloud use: its interpreters,
//! private folders, and its time zone.

pub mod clock;
pub mod interpreter;
pub mod own_folder;
pub mod program;
