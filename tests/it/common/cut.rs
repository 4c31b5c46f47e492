//! Where a run is killed.

use std::fmt;

use super::call_name::Name;
use super::proxy::{Fault, FaultKind, When};

/// The point at which a run is killed.
pub struct Cut {
    pub name: Name,
    pub when: When,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed {:?} {}", self.when, self.name)
    }
}

impl Cut {
    /// Before and after every one of these calls.
    pub fn everywhere(calls: Vec<Name>) -> Vec<Self> {
        let both = |name: Name| [When::Before, When::After].map(|when| Self { name: name.clone(), when });
        calls.into_iter().flat_map(both).collect()
    }

    /// What kills the run there.
    pub fn fault(&self) -> Fault {
        Fault { when: self.when, what: FaultKind::Kill, permanent: false }
    }
}
