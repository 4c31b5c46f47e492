//! What a step interrupts, and what is lost with it: what one wants to know before saying yes.

/// What a step does to those who use the stack meanwhile, a sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// What does not work for a while, or not any more.
    pub interrupted: Vec<String>,
    /// What cannot be had back.
    pub lost: Vec<String>,
}

impl Effects {
    /// Nothing is lost.
    pub fn interrupted(text: impl Into<String>) -> Self {
        Self { interrupted: vec![text.into()], ..Self::default() }
    }

    /// Nothing is interrupted.
    pub fn lost(text: impl Into<String>) -> Self {
        Self { lost: vec![text.into()], ..Self::default() }
    }
}
