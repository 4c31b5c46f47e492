//! What a step interrupts, and what is lost with it: what one wants to know before saying yes.

/// What a step does to those who use the stack meanwhile, a sentence each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepEffects {
    /// What does not work for a while, or not any more.
    pub interrupted: Vec<String>,
    /// What cannot be had back.
    pub lost: Vec<String>,
}

impl StepEffects {
    /// Nothing is lost.
    pub fn interrupted(text: impl Into<String>) -> Self {
        Self { interrupted: vec![text.into()], ..Self::default() }
    }

    /// Nothing is interrupted.
    pub fn lost(text: impl Into<String>) -> Self {
        Self { lost: vec![text.into()], ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::StepEffects;
    use crate::core::types::iam_permissions::{Permissions, Subject};
    use crate::core::types::{Action, Attribute, Desired, Kind, Live, Naming, PlanView, StepView};
    use crate::core::words::{Problem, Scope};

    /// A type that answers only what it must, and has a name or data, or neither.
    struct Plain {
        named: bool,
        data: bool,
    }

    impl Kind for Plain {
        fn type_name(&self) -> &'static str {
            "AWS::Made::Up"
        }

        fn noun(&self) -> &'static str {
            "thing"
        }

        fn naming(&self) -> Option<Naming> {
            self.named.then_some(Naming { property: "Name", longest: 64, within: None, path: None })
        }

        fn canonical(&self, properties: &Value) -> Result<Value, Vec<Problem>> {
            Ok(properties.clone())
        }

        fn create_only(&self) -> &'static [&'static str] {
            &[]
        }

        fn hard(&self) -> &'static [&'static str] {
            &[]
        }

        fn attribute(&self, _: &Scope, _: Option<&str>, _: Option<&str>) -> Attribute {
            Attribute::Minted
        }

        fn is(&self, _: &Desired, _: &Live) -> bool {
            false
        }

        fn holds_data(&self) -> bool {
            self.data
        }

        fn permissions(&self, _: &Subject<'_>, _: &mut Permissions) {}
    }

    struct Nothing;

    impl PlanView for Nothing {
        fn steps(&self) -> Box<dyn Iterator<Item = StepView<'_>> + '_> {
            Box::new(std::iter::empty())
        }
    }

    #[test]
    fn a_type_that_says_nothing_of_effects_hides_none() {
        let live = Live::new("AWS::Made::Up", "app-Thing-1a", json!({}));
        let of = |kind: Plain, action| {
            let step = StepView {
                action,
                type_name: live.type_name,
                name: "Thing",
                physical_id: Some(&live.physical_id),
                changes: &[],
                desired: None,
                live: Some(&live),
            };
            kind.effects(&step, &Nothing)
        };
        let plain = |named, data| Plain { named, data };
        assert_eq!(of(plain(true, true), Action::Delete), StepEffects::lost("all that it holds"));
        let replaced = of(plain(true, false), Action::Replace);
        assert_eq!(replaced, StepEffects::interrupted("everything that uses it fails until it exists again"));
        for quiet in [of(plain(true, false), Action::Delete), of(plain(true, true), Action::Update)] {
            assert_eq!(quiet, StepEffects::default());
        }
        assert_eq!(of(plain(false, false), Action::Replace), StepEffects::default());
    }
}
