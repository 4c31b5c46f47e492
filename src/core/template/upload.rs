//! What other tools put into a template for their own upload of code, which wschat does without: the Serverless
//! Framework's bucket for zips.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{LeftOut, Template, parse};
use crate::core::words::{Path, Step};

/// How the CDK names the parameters for an asset where nothing was bootstrapped for it (its legacy synthesizer): `AssetParameters`,
/// the asset's hash, what it is, and eight digits.
const ASSET: &str = "AssetParameters";

impl Template {
    /// The same template, in which the parameters that the CDK's own deployer would give a value have one: the name of an asset's zip as
    /// the key. An asset is looked for on this machine, and needs no bucket.
    #[must_use]
    pub(super) fn with_asset_parameters(mut self) -> Self {
        for (name, parameter) in &mut self.parameters {
            let Some(rest) = name.strip_prefix(ASSET).filter(|_| parameter.default.is_none()) else { continue };
            let hash: String = rest.chars().take_while(|c| c.is_ascii_digit() || ('a'..='f').contains(c)).collect();
            let value = match &rest[hash.len()..] {
                _ if hash.len() != 64 => continue,
                what if what.starts_with("S3Bucket") => String::new(),
                // The CDK splits it into a folder and a name.
                what if what.starts_with("S3VersionKey") => format!("||{hash}.zip"),
                what if what.starts_with("ArtifactHash") => hash,
                _ => continue,
            };
            parameter.default = Some(value.into());
        }
        self
    }
}

/// The Serverless Framework's logical id for its bucket.
const BUCKET: &str = "ServerlessDeploymentBucket";

impl Template {
    /// The template without the bucket that the Serverless Framework uploads zips to, the bucket's policies and the
    /// outputs of its name: `left_out` names the bucket. Unchanged if anything else refers to the bucket: then it serves
    /// the application, too.
    #[must_use]
    pub fn without_upload(mut self) -> Self {
        if self.resources.get(BUCKET).is_none_or(|bucket| bucket.type_name != "AWS::S3::Bucket") {
            return self;
        }
        let whole = self.clone();
        let reference = json!({ "Ref": BUCKET });
        self.resources.remove(BUCKET);
        self.resources
            .retain(|_, it| it.type_name != "AWS::S3::BucketPolicy" || it.properties.get("Bucket") != Some(&reference));
        self.outputs.retain(|_, output| output.value != reference);
        for code in
            self.resources.values_mut().filter_map(|resource| resource.properties.get_mut("Code")?.as_object_mut())
        {
            if code.get("S3Bucket") == Some(&reference) {
                code.shift_remove("S3Bucket");
            }
        }
        let mut rest =
            self.resources.values().flat_map(|resource| resource.properties.values().chain(&resource.depends_on));
        if rest.any(mentions_bucket) || self.outputs.values().any(|output| mentions_bucket(&output.value)) {
            return whole;
        }
        let path = Path(vec![Step::Key("Resources".to_owned()), Step::Key(BUCKET.to_owned())]);
        let what = "this bucket only takes uploads of code, which wschat does without: it is left out, with its policy";
        self.left_out.push(LeftOut { path, what });
        self
    }

    /// The logical ids of the resources that [`Template::without_upload`] leaves out.
    pub fn only_for_upload(&self) -> BTreeSet<String> {
        let kept = self.clone().without_upload().resources;
        self.resources.keys().filter(|id| !kept.contains_key(*id)).cloned().collect()
    }
}

/// The logical ids of the resources of a template, given as text, that [`Template::without_upload`] leaves out.
pub fn left_out(text: &str) -> BTreeSet<String> {
    parse(text.as_bytes()).map(|template| template.only_for_upload()).unwrap_or_default()
}

/// Whether a text in `value` has the bucket's logical id in it.
fn mentions_bucket(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(BUCKET),
        Value::Array(items) => items.iter().any(mentions_bucket),
        Value::Object(entries) => entries.values().any(mentions_bucket),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const SERVERLESS: &str = r#"{"Resources": {
        "ServerlessDeploymentBucket": {"Type": "AWS::S3::Bucket"},
        "ServerlessDeploymentBucketPolicy": {"Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": {"Ref": "ServerlessDeploymentBucket"}, "PolicyDocument": {}}},
        "F": {"Type": "AWS::Lambda::Function", "Properties": {
            "Code": {"S3Bucket": {"Ref": "ServerlessDeploymentBucket"}, "S3Key": "serverless/chat/dev/1-x/chat.zip"}}}},
        "Outputs": {"ServerlessDeploymentBucketName": {"Value": {"Ref": "ServerlessDeploymentBucket"}}}}"#;

    /// The names of the resources and outputs that stay, and whether something is left out.
    fn remaining(text: &str) -> (Vec<String>, bool) {
        let template = parse(text.as_bytes()).unwrap().without_upload();
        let names = template.resources.keys().chain(template.outputs.keys()).cloned().collect();
        (names, !template.left_out.is_empty())
    }

    #[test]
    fn the_parameters_of_the_cdks_assets_have_values() {
        let hash = "48ae271817747173f820f2c622accc39ca987ad47ac8134e6fcb416b37c62bcb";
        let parameter = |what: &str| format!(r#""AssetParameters{hash}{what}": {{"Type": "String"}}"#);
        let declared = ["S3Bucket097A6EE3", "S3VersionKey56A427CF", "ArtifactHashE5847599", "Other"].map(parameter);
        let text = format!(
            r#"{{"Parameters": {{{}, "AssetParameters": {{"Type": "String"}}}}, "Resources": {{}}}}"#,
            declared.join(",")
        );
        let template = parse(text.as_bytes()).unwrap();
        let defaults: Vec<Option<&str>> = template
            .parameters
            .values()
            .map(|parameter| parameter.default.as_ref().and_then(serde_json::Value::as_str))
            .collect();
        let key = format!("||{hash}.zip");
        // In the order of their names.
        assert_eq!(defaults, [None, Some(hash), None, Some(""), Some(&key)]);
    }

    #[test]
    fn the_bucket_for_zips_is_left_out_unless_the_application_uses_it() {
        assert_eq!(remaining(SERVERLESS), (vec!["F".to_owned()], true));
        let left: Vec<String> = super::left_out(SERVERLESS).into_iter().collect();
        assert_eq!(left, ["ServerlessDeploymentBucket", "ServerlessDeploymentBucketPolicy"]);
        let with = |value: &str| SERVERLESS.replace("\"Code\":", &format!("\"Description\": {value}, \"Code\":"));
        for uses in [r#"{"Ref": "ServerlessDeploymentBucket"}"#, r#"{"Fn::Sub": "${ServerlessDeploymentBucket.Arn}"}"#]
        {
            assert_eq!(remaining(&with(uses)).0.len(), 4, "{uses}");
            assert!(!remaining(&with(uses)).1, "{uses}");
        }
        // Another resource of that name, or another bucket.
        for (from, to) in [("AWS::S3::Bucket\"", "AWS::SQS::Queue\""), ("ServerlessDeploymentBucket\"", "Zips\"")] {
            assert!(!remaining(&SERVERLESS.replace(from, to)).1, "{to}");
        }
    }
}
