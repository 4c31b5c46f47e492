//! The parts of a local cloud's data that can be deleted without the others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::machine::own_folder;

/// The persisted data of one service, or of the cloud itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPart {
    ApiGateway,
    CloudControl,
    CloudFormation,
    DynamoDb,
    Events,
    Iam,
    Lambda,
    Logs,
    S3,
    Scheduler,
    Sns,
    Sqs,
    /// The access key, the console's key and the certificates.
    Keys,
}

impl DataPart {
    pub const ALL: [Self; 13] = [
        Self::ApiGateway,
        Self::CloudControl,
        Self::CloudFormation,
        Self::DynamoDb,
        Self::Events,
        Self::Iam,
        Self::Lambda,
        Self::Logs,
        Self::S3,
        Self::Scheduler,
        Self::Sns,
        Self::Sqs,
        Self::Keys,
    ];

    /// The name in `wschat local reset --only`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiGateway => "apigateway",
            Self::CloudControl => "cloudcontrol",
            Self::CloudFormation => "cloudformation",
            Self::DynamoDb => "dynamodb",
            Self::Events => "events",
            Self::Iam => "iam",
            Self::Lambda => "lambda",
            Self::Logs => "logs",
            Self::S3 => "s3",
            Self::Scheduler => "scheduler",
            Self::Sns => "sns",
            Self::Sqs => "sqs",
            Self::Keys => "keys",
        }
    }

    /// The part that a file or folder in a data folder belongs to, at whatever depth it is.
    pub fn of(folder: &Path, path: &Path) -> Option<Self> {
        let name = path.strip_prefix(folder).ok()?.components().next()?.as_os_str().to_str()?;
        match name {
            "apigatewayv2.json" => Some(Self::ApiGateway),
            "cloudcontrol.json" => Some(Self::CloudControl),
            "cloudformation.json" => Some(Self::CloudFormation),
            "events.json" => Some(Self::Events),
            "iam.json" | "iam-sessions.json" => Some(Self::Iam),
            "lambda.json" | "lambda-events" | "lambda-events.json" | "lambda-positions.json" | "lambda" => {
                Some(Self::Lambda)
            }
            "logs.json" | "logs" => Some(Self::Logs),
            "s3.json" | "s3-incoming" | "s3-objects" => Some(Self::S3),
            "scheduler.json" => Some(Self::Scheduler),
            "sns.json" => Some(Self::Sns),
            "sqs.json" | "sqs-messages" => Some(Self::Sqs),
            "access-key.json" | "console-key.json" => Some(Self::Keys),
            _ if name.starts_with("dynamodb-") => Some(Self::DynamoDb),
            _ if name.starts_with("s3-objects.sqlite") => Some(Self::S3),
            _ if name.ends_with(".pem") => Some(Self::Keys),
            _ => None,
        }
    }

    /// Deletes the part from a data folder.
    ///
    /// # Errors
    /// When one of its files cannot be deleted.
    pub fn delete(self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path: PathBuf = entry?.path();
            if Self::of(folder, &path) == Some(self) {
                if path.is_dir() { own_folder::remove(&path)? } else { fs::remove_file(&path)? }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_a_part_wherever_it_is() {
        let of = |path: &str| DataPart::of(Path::new("/d"), Path::new(path));
        for (path, part) in [
            ("/d/sqs.json", DataPart::Sqs),
            ("/d/sqs-messages/us-east-1.q.json", DataPart::Sqs),
            ("/d/logs/us-east-1/group", DataPart::Logs),
            ("/d/lambda-positions.json", DataPart::Lambda),
            ("/d/dynamodb-us-east-1.sqlite", DataPart::DynamoDb),
        ] {
            assert_eq!(of(path), Some(part), "{path}");
        }
        assert_eq!((of("/d/local.log"), of("/d"), of("/other/sqs.json")), (None, None, None));
    }

    #[test]
    fn the_page_of_reset_names_all_parts() {
        let page = include_str!("../../../docs/commands/local.md");
        let row = page.lines().find(|line| line.starts_with("| `--only PART`")).unwrap();
        let named: Vec<&str> = row.split('`').skip(3).step_by(2).collect();
        assert_eq!(named, DataPart::ALL.map(DataPart::name));
    }
}
