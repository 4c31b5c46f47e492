//! The names of the language's intrinsic functions, and their short forms.

/// All intrinsic functions of the language, in their long form.
pub const NAMES: &[&str] = &[
    "Condition",
    "Fn::And",
    "Fn::Base64",
    "Fn::Cidr",
    "Fn::Contains",
    "Fn::EachMemberEquals",
    "Fn::EachMemberIn",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::GetAZs",
    "Fn::GetAtt",
    "Fn::If",
    "Fn::ImportValue",
    "Fn::Join",
    "Fn::Length",
    "Fn::Not",
    "Fn::Or",
    "Fn::RefAll",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Fn::ToJsonString",
    "Fn::Transform",
    "Fn::ValueOf",
    "Fn::ValueOfAll",
    "Ref",
];

/// Functions allowed only in `Rules`, in addition to those of conditions.
pub const OF_RULES: &[&str] =
    &["Fn::Contains", "Fn::EachMemberEquals", "Fn::EachMemberIn", "Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll"];

/// The long form of the tag `!NAME`: `Ref` and `Condition` keep their names, all others get the prefix `Fn::`.
pub fn long_form(tag: &str) -> String {
    match tag {
        "Ref" | "Condition" => tag.to_owned(),
        _ => format!("Fn::{tag}"),
    }
}

/// The function and its argument, if `value` is a call: a map whose only key is a function's name.
///
/// `Condition` is no call here: outside of conditions it is an ordinary key (policy statements have one).
pub fn call(value: &serde_json::Value) -> Option<(&str, &serde_json::Value)> {
    let (name, argument) = value.as_object().filter(|entries| entries.len() == 1)?.iter().next()?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

/// The logical id that a `Ref` or `Fn::GetAtt` refers to.
pub fn referred(value: &serde_json::Value) -> Option<&str> {
    match call(value)? {
        ("Ref", id) => id.as_str(),
        ("Fn::GetAtt", argument) => match argument.as_str() {
            Some(whole) => whole.split('.').next(),
            None => argument.get(0)?.as_str(),
        },
        _ => None,
    }
}
