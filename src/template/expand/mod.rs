//! SAM's resources, expanded into CloudFormation's as SAM's own translator (aws-sam-translator) does it.
//!
//! Only the local code stays as it is: where SAM wants an `s3://` address, because `sam package` has uploaded the code
//! before, wschat leaves the path in `Code` and uploads it itself.

mod function;
mod globals;
mod policies;

use std::collections::BTreeMap;

use super::Template;
use crate::diagnostic::{Path, Problem};

/// What the expansion depends on besides the template.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`: SAM writes it into the ARNs of managed policies.
    pub partition: &'a str,
    /// The parameters' values as the user gave them: a few decisions hang on a parameter.
    pub parameters: &'a BTreeMap<String, String>,
}

/// The prefix of SAM's resource types.
const PREFIX: &str = "AWS::Serverless::";
/// The one SAM resource type that is expanded so far.
pub const FUNCTION: &str = "AWS::Serverless::Function";

/// Expands all SAM resources of `template`; nothing happens to a template without them.
pub fn expand(mut template: Template, context: Context<'_>) -> Template {
    let globals = globals::read(&mut template);
    let serverless: Vec<String> = template
        .resources
        .iter()
        .filter(|(_, resource)| resource.type_name.starts_with(PREFIX))
        .map(|(logical_id, _)| logical_id.clone())
        .collect();
    for logical_id in serverless {
        let Some(mut resource) = template.resources.remove(&logical_id) else { continue };
        template.broken.insert(logical_id.clone());
        let path = Path::default().key("Resources").key(&logical_id);
        let type_path = path.key("Type");
        if !template.sam {
            let problem = Problem::new(
                type_path,
                format!("{} is SAM's, and this template does not ask for SAM", resource.type_name),
            );
            template.problems.push(problem.help("add \"Transform: AWS::Serverless-2016-10-31\""));
        } else if resource.type_name != FUNCTION {
            let problem = Problem::new(type_path, format!("{} is not supported yet", resource.type_name));
            template.problems.push(problem.suggest(&resource.type_name, [FUNCTION]));
        } else {
            globals::merge(&mut template, &globals, &mut resource, &path);
            let made = function::expand(&mut template, context, &logical_id, resource);
            template.broken.remove(&logical_id);
            for (logical_id, resource) in made {
                if template.resources.insert(logical_id.clone(), resource).is_some() {
                    let what = format!("SAM makes a resource {logical_id} of this, and there is one of that name");
                    template.problems.push(Problem::of_key(path.clone(), what));
                }
            }
        }
    }
    template
}

#[cfg(test)]
mod tests;
