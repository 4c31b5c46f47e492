//! What happens to a resource that is no longer in the template.

/// What happens to a resource that is no longer in the template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    #[default]
    Delete,
    Retain,
    /// As `Retain`. What a failed run created is deleted in any case, because it was never used; so the exception holds
    /// for both.
    RetainExceptOnCreate,
}

impl DeletionPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
            Self::RetainExceptOnCreate => "RetainExceptOnCreate",
        }
    }

    /// The policy of this name.
    pub fn read(name: &str) -> Option<Self> {
        [Self::Delete, Self::Retain, Self::RetainExceptOnCreate].into_iter().find(|policy| policy.as_str() == name)
    }
}
