//! Evaluates conditions, and the rules that a template sets for its parameters.

use serde_json::Value;

use super::intrinsics::Failure;
use super::resolve::Resolver;
use crate::core::template::intrinsics;
use crate::core::words::{Path, Problem};

/// Functions that return a boolean, in conditions and in rules.
pub(super) const LOGIC: &[&str] = &["Fn::And", "Fn::Equals", "Fn::Not", "Fn::Or"];

/// Where an expression is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asker {
    Condition,
    /// A rule may refer to parameters only, and has functions of its own.
    Rule,
}

/// The state of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// It is being evaluated, at this depth.
    Begun(usize),
    Known(bool),
    /// It has a problem, which was reported.
    Broken,
}

impl Resolver<'_> {
    /// Whether the condition `name` holds.
    pub(super) fn condition(&mut self, name: &str, path: &Path) -> Result<bool, Failure> {
        match self.conditions.get(name) {
            Some(Truth::Known(truth)) => return Ok(*truth),
            Some(Truth::Broken) => return Err(Failure::Reported),
            Some(Truth::Begun(_)) => {
                let what = format!("circular dependency between conditions: {}", self.circle(name));
                return Err(Problem::new(path.clone(), what).into());
            }
            None => {}
        }
        let template = self.template;
        let Some(condition) = template.conditions.get(name) else {
            return Err(self.no_condition(name, path).into());
        };
        self.conditions.insert(name.to_owned(), Truth::Begun(self.depth));
        // A condition on a secret does not make the chosen value a secret.
        let around = self.from_secret;
        let truth = self.logic(condition, &Path::default().key("Conditions").key(name), Asker::Condition);
        self.from_secret = around;
        let known = truth.as_ref().map_or(Truth::Broken, |truth| Truth::Known(*truth));
        self.conditions.insert(name.to_owned(), known);
        truth
    }

    /// The problem that the condition `name` does not exist.
    pub(super) fn no_condition(&self, name: &str, path: &Path) -> Problem {
        let problem = Problem::new(path.clone(), format!("there is no condition \"{name}\""));
        problem.suggest(name, self.template.conditions.keys().map(String::as_str))
    }

    /// The conditions from `name` on that depend on each other, and `name` again: `A -> B -> A`.
    fn circle(&self, name: &str) -> String {
        let begun = |name: &str| match self.conditions.get(name) {
            Some(Truth::Begun(depth)) => Some(*depth),
            _ => None,
        };
        let from = begun(name);
        let mut waiting: Vec<(usize, &str)> = self
            .conditions
            .keys()
            .filter_map(|name| Some((begun(name)?, name.as_str())))
            .filter(|(depth, _)| Some(*depth) >= from)
            .collect();
        waiting.sort_unstable();
        waiting.into_iter().map(|(_, name)| name).chain([name]).collect::<Vec<_>>().join(" -> ")
    }

    /// Reports the rules that the parameters violate.
    pub(super) fn rules(&mut self) {
        let template = self.template;
        for (name, rule) in &template.rules {
            let path = Path::default().key("Rules").key(name);
            let applies = match &rule.rule_condition {
                None => Ok(true),
                Some(condition) => self.logic(condition, &path.key("RuleCondition"), Asker::Rule),
            };
            match applies {
                Ok(false) => continue,
                Ok(true) => {}
                Err(failure) => {
                    self.problems.extend(failure.into_problem());
                    continue;
                }
            }
            for (index, assertion) in rule.assertions.iter().enumerate() {
                let path = path.key("Assertions").index(index).key("Assert");
                match self.logic(&assertion.assert, &path, Asker::Rule) {
                    Ok(true) => {}
                    Ok(false) => {
                        let problem = Problem::new(path, format!("the parameters do not keep the rule {name}"));
                        self.problems.push(match &assertion.assert_description {
                            Some(description) => problem.help(description.clone()),
                            None => problem,
                        });
                    }
                    Err(failure) => self.problems.extend(failure.into_problem()),
                }
            }
        }
    }

    /// Whether an expression is true.
    fn logic(&mut self, expression: &Value, path: &Path, asker: Asker) -> Result<bool, Failure> {
        self.deeper(path, |resolver| resolver.shallow_logic(expression, path, asker))
    }

    fn shallow_logic(&mut self, expression: &Value, path: &Path, asker: Asker) -> Result<bool, Failure> {
        let single = expression.as_object().filter(|entries| entries.len() == 1);
        let Some((name, argument)) = single.and_then(|entries| entries.iter().next()) else {
            let problem = Problem::new(path.clone(), "a condition must be a function");
            return Err(problem.help("Fn::And, Fn::Equals, Fn::Not, Fn::Or or Condition").into());
        };
        let path = path.key(name);
        let parts = argument.as_array().map_or(&[][..], Vec::as_slice);
        let wrong = |what: &str| Err(Problem::new(path.clone(), what).into());
        match (name.as_str(), parts) {
            ("Condition", _) if asker == Asker::Rule => {
                wrong("a rule speaks of parameters alone: conditions are not known to it")
            }
            ("Condition", _) => match argument.as_str() {
                Some(name) => self.condition(name, &path),
                None => wrong("this must be the name of a condition"),
            },
            ("Fn::Equals", [one, other]) => {
                let one = self.known_text(one, &path.index(0))?;
                Ok(one == self.known_text(other, &path.index(1))?)
            }
            ("Fn::Equals", _) => wrong("Fn::Equals takes a list of two values"),
            ("Fn::Not", [part]) => Ok(!self.logic(part, &path.index(0), asker)?),
            ("Fn::Not", _) => wrong("Fn::Not takes a list of one condition"),
            ("Fn::And" | "Fn::Or", parts) if (2..=10).contains(&parts.len()) => {
                let mut truths = Vec::new();
                for (index, part) in parts.iter().enumerate() {
                    truths.push(self.logic(part, &path.index(index), asker)?);
                }
                Ok(if name == "Fn::And" { truths.iter().all(|truth| *truth) } else { truths.contains(&true) })
            }
            ("Fn::And" | "Fn::Or", _) => wrong("this takes a list of two to ten conditions"),
            ("Fn::Contains", [values, value]) if asker == Asker::Rule => {
                let values = self.known_texts(values, &path.index(0))?;
                Ok(values.contains(&self.known_text(value, &path.index(1))?))
            }
            ("Fn::EachMemberEquals", [values, value]) if asker == Asker::Rule => {
                let values = self.known_texts(values, &path.index(0))?;
                let value = self.known_text(value, &path.index(1))?;
                Ok(values.iter().all(|each| *each == value))
            }
            ("Fn::EachMemberIn", [values, among]) if asker == Asker::Rule => {
                let values = self.known_texts(values, &path.index(0))?;
                let among = self.known_texts(among, &path.index(1))?;
                Ok(values.iter().all(|each| among.contains(each)))
            }
            ("Fn::Contains" | "Fn::EachMemberEquals", _) if asker == Asker::Rule => {
                wrong("this takes a list: a list of texts, and a text")
            }
            ("Fn::EachMemberIn", _) if asker == Asker::Rule => wrong("this takes a list of two lists of texts"),
            _ => {
                let own: &[&str] = if asker == Asker::Rule { intrinsics::OF_RULES } else { &["Condition"] };
                let what = if asker == Asker::Rule { "no function of rules" } else { "no condition" };
                let problem = Problem::of_key(path.clone(), format!("{name} is {what}"));
                Err(problem.suggest(name, LOGIC.iter().chain(own).copied()).into())
            }
        }
    }
}
