//! Puts values into a template that are looked up outside of it.

use serde_json::Value;

use super::Token;
use super::intrinsics::Failure;
use super::lookups::{BEGIN, Lookup, Piece, pieces, problem};
use super::resolve::{Reference, Resolver};
use crate::core::words::{Path, Problem};

impl Resolver<'_> {
    /// The value of a lookup; a token while it is not known.
    pub(super) fn look_up(&mut self, lookup: Lookup, path: &Path) -> Result<String, Failure> {
        self.looked_up.insert(lookup.clone());
        match self.lookups.get(&lookup) {
            Some(Ok(value)) => Ok(value.clone()),
            Some(Err(missing)) => Err(problem(path.clone(), missing).into()),
            None => {
                // It may turn out to be a number.
                self.unknown.push(path.clone());
                let token = Token::of_lookup(&lookup.to_string());
                if !self.lookups.is_expected(&lookup) {
                    self.lacking.insert(lookup);
                }
                Ok(token)
            }
        }
    }

    /// The resource of the template that a lookup reads, where it names one.
    fn own(&mut self, lookup: &Lookup) -> Option<String> {
        // The names of resources must not depend on those that are absent.
        let type_name = lookup.type_name().filter(|_| !self.pretending)?;
        let alike = self.kinds.iter().filter(|(_, kind)| kind.type_name() == type_name);
        let ids: Vec<String> = alike.map(|(id, _)| (*id).to_owned()).collect();
        ids.into_iter().find(|id| self.name(id).is_some_and(|name| lookup.is_of(&name)))
    }

    /// `value` with the values of its dynamic references. Those that name what is not known yet stay.
    pub(super) fn resolve_dynamic(&mut self, value: Value, path: &Path) -> Value {
        match value {
            Value::String(text) if text.contains(BEGIN) => self.resolve_text(&text, path).into(),
            Value::Array(items) => {
                let items = items.into_iter().enumerate();
                items.map(|(index, item)| self.resolve_dynamic(item, &path.index(index))).collect()
            }
            Value::Object(entries) => {
                let entries = entries.into_iter();
                Value::Object(
                    entries
                        .map(|(key, value)| {
                            let value = self.resolve_dynamic(value, &path.key(&key));
                            (key, value)
                        })
                        .collect(),
                )
            }
            other => other,
        }
    }

    fn resolve_text(&mut self, text: &str, path: &Path) -> String {
        let mut out = String::new();
        for piece in pieces(text) {
            let reference = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Reference(reference) if Token::is_in(reference) => {
                    self.unknown.push(path.clone());
                    out.extend([BEGIN, reference, "}}"]);
                    continue;
                }
                Piece::Reference(reference) => reference,
            };
            let lookup = Lookup::read(reference);
            // It is read when that has been made.
            if let Some(target) = lookup.as_ref().ok().and_then(|lookup| self.own(lookup)) {
                self.references.push(Reference { target, path: path.clone(), minted: true });
                self.unknown.push(path.clone());
                out.extend([BEGIN, reference, "}}"]);
                continue;
            }
            let found = match lookup {
                Ok(lookup) => self.look_up(lookup, path),
                Err(what) => Err(Problem::new(path.clone(), what).into()),
            };
            match found {
                Ok(value) => {
                    if !Token::is_in(&value) {
                        self.secrets.add(&value.as_str().into());
                    }
                    out.push_str(&value);
                }
                Err(failure) => {
                    self.problems.extend(failure.into_problem());
                    self.failed.push(path.clone());
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::core::stack::{Lookups, Scope, Survey, survey_with};
    use crate::core::template::parse;

    fn surveyed(text: &str) -> Survey {
        let scope = Scope {
            stack: "chat".to_owned(),
            account: "123456789012".to_owned(),
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
        };
        survey_with(parse(text.as_bytes()).unwrap(), &BTreeMap::new(), &scope, &Lookups::default())
    }

    fn problems(text: &str) -> String {
        surveyed(text).problems.into_iter().map(|problem| problem.what + "\n").collect()
    }

    /// CloudFormation resolves a reference at the step of the resource that has it.
    #[test]
    fn references_to_parameters_and_secrets_of_the_template_are_left_to_their_steps() {
        let text = |reference: &str| {
            format!(
                "
    Resources:
      Param: {{ Type: AWS::SSM::Parameter, Properties: {{ Name: /chat/origin, Type: String, Value: x }} }}
      Secret: {{ Type: AWS::SecretsManager::Secret, Properties: {{ Name: chat-db, SecretString: hush }} }}
      Log: {{ Type: AWS::Logs::LogGroup, Properties: {{ RetentionInDays: {reference} }} }}
    "
            )
        };
        for (reference, kept, target) in [
            ("'{{resolve:ssm:/chat/origin}}'", "{{resolve:ssm:/chat/origin}}", "Param"),
            ("!Sub '{{resolve:ssm:${Param}}}'", "{{resolve:ssm:/chat/origin}}", "Param"),
            (
                "'{{resolve:secretsmanager:chat-db:SecretString:k}}'",
                "{{resolve:secretsmanager:chat-db:SecretString:k}}",
                "Secret",
            ),
        ] {
            let survey = surveyed(&text(reference));
            assert_eq!(survey.problems, [], "{reference}");
            assert_eq!(survey.lacking, [].into(), "{reference}");
            let log = &survey.stack.resources["Log"];
            assert_eq!(log.properties["RetentionInDays"], kept);
            assert_eq!(log.hard, [target.to_owned()].into(), "{reference}");
        }
        // Another one is looked up.
        assert_eq!(surveyed(&text("'{{resolve:ssm:/other}}'")).lacking.len(), 1);
        let output = text("7") + "Outputs:\n      Out: {Value: '{{resolve:ssm:/chat/origin}}'}\n";
        assert!(
            problems(&output).contains("an output cannot have a dynamic reference to a parameter of the same template")
        );
        let name = text("7").replace("RetentionInDays: 7", "LogGroupName: '{{resolve:ssm:/chat/origin}}'");
        assert!(problems(&name).contains("a name must be known before anything exists"), "{}", problems(&name));
    }
}
