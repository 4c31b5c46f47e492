//! Profiles, credentials, regions, endpoints and proxies: which settings take precedence, and that each mistake is reported
//! in one line, with another line on what to do.

use crate::common::aws::{FakeAws, Home, Proxy, closed_port};
use crate::common::inventory::{Inventory, same};
use crate::common::{Cloud, template};

const CONFIG: &str = include_str!("../fixtures/account/config");

/// An expired SSO login of AWS's CLI.
const EXPIRED: &str = r#"{"startUrl":"https://example.awsapps.com/start","region":"eu-west-1","accessToken":"t","expiresAt":"2020-01-01T00:00:00Z"}"#;

/// Exported keys of another account.
const EXPORTED: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID", "AKIAEXPORTED"),
    ("AWS_SECRET_ACCESS_KEY", "x"),
    ("AWS_SESSION_TOKEN", "x"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"),
    ("AWS_ROLE_ARN", "arn:aws:iam::111111111111:role/Exported"),
];

fn home() -> Home {
    let home = Home::with(&[]);
    home.write(&login_file("https://example.awsapps.com/start"), EXPIRED);
    home.write("token", "header.claims.signature");
    let token = home.path().join("token");
    home.write(".aws/config", &CONFIG.replace("TOKEN", token.to_str().unwrap()));
    home
}

/// The file in which AWS's CLI caches the login of an SSO session, or of a start URL.
fn login_file(name: &str) -> String {
    use sha1::{Digest, Sha1};
    format!(".aws/sso/cache/{}.json", hex::encode(Sha1::digest(name)))
}

#[test]
fn a_profile_on_the_command_line_wins_over_exported_credentials() {
    let home = home();
    let valid = EXPIRED.replace("2020", "2099");
    home.write(&login_file("corp"), &valid);
    let table: &[(&str, &[&str])] = &[
        ("static", &["AKIAPROFILE"]),
        ("role", &["AKIAPROFILE", "ASIAROLE"]),
        ("web", &["", "ASIAROLE"]),
        ("process", &["AKIAPROCESS"]),
        ("sso", &["", "ASIASSO"]),
        ("ssorole", &["", "ASIAROLE", "ASIASSO"]),
    ];
    for (profile, keys) in table {
        let aws = FakeAws::knowing(&[
            ("AKIAEXPORTED", "111111111111"),
            ("AKIAPROFILE", "222222222222"),
            ("AKIAPROCESS", "222222222222"),
            ("ASIAROLE", "222222222222"),
            ("ASIASSO", "222222222222"),
        ]);
        let endpoint = [("AWS_ENDPOINT_URL", aws.url.as_str())];
        let ended = home.run(&["url", "--stack", "app", "--profile", profile], &[EXPORTED, &endpoint].concat());
        assert_eq!(aws.keys(), *keys, "{profile}: {}", ended.stderr);
        assert!(ended.stderr.contains("apigatewayv2.GetApis"), "{profile} comes as far as the lists: {}", ended.stderr);
    }
}

#[test]
fn exported_keys_win_over_an_exported_profile() {
    let home = home();
    let aws = FakeAws::knowing(&[("AKIAEXPORTED", "111111111111"), ("AKIAPROFILE", "222222222222")]);
    let more = [("AWS_ENDPOINT_URL", aws.url.as_str()), ("AWS_PROFILE", "static")];
    home.run(&["url", "--stack", "app"], &[EXPORTED, &more].concat());
    assert_eq!(aws.keys(), ["AKIAEXPORTED"]);

    let aws = FakeAws::knowing(&[("AKIAPROFILE", "222222222222")]);
    home.run(&["url", "--stack", "app"], &[("AWS_ENDPOINT_URL", aws.url.as_str()), ("AWS_PROFILE", "static")]);
    assert_eq!(aws.keys(), ["AKIAPROFILE"]);
}

#[test]
fn the_region_is_chosen_as_by_awss_cli() {
    let home = home();
    home.write("project/template.json", r#"{"Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}}}"#);
    let aws = FakeAws::knowing(&[("AKIAPROFILE", "222222222222")]);
    let note = "AWS_REGION sets the region to us-east-1, over profile \"static\" with eu-west-1; --region eu-west-1 takes that\n";
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str, bool);
    let table: &[Row<'_>] = &[
        (&["--profile", "static"], &[], "eu-west-1", false),
        (&["--profile", "static"], &[("AWS_REGION", "us-east-1")], "us-east-1", true),
        (&["--profile", "static"], &[("AWS_REGION", "eu-west-1")], "eu-west-1", false),
        (&["--profile", "static", "--region", "us-east-2"], &[("AWS_REGION", "us-east-1")], "us-east-2", false),
        (&["--profile", "noregion"], &[("AWS_DEFAULT_REGION", "us-east-1")], "us-east-1", false),
    ];
    for (flags, variables, region, noted) in table {
        let variables = [*variables, &[("AWS_ENDPOINT_URL", aws.url.as_str())]].concat();
        let ended = home.run(&[&["plan", "--stack", "app"], *flags].concat(), &variables);
        let stack = format!("Stack app in account 222222222222 ({region}), as arn:aws:iam::222222222222:user/me\n");
        assert!(ended.stderr.contains(&stack), "{flags:?} {}", ended.stderr);
        assert_eq!(ended.stderr.contains(note), *noted, "{flags:?} {}", ended.stderr);
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any text.
fn fits(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[test]
fn wrong_settings_are_reported_in_one_line_with_one_on_what_to_do() {
    const FILES: &str = "~/.aws/config and ~/.aws/credentials";
    let home = home();
    home.write("broken", "[default]\nregion = eu-west-1\nnonsense\n");
    let broken = home.path().join("broken").display().to_string();
    let dead = format!("http://127.0.0.1:{}", closed_port());
    let expired = FakeAws::refusing("ExpiredToken", "The security token included in the request is expired");
    let unknown = FakeAws::refusing("InvalidClientTokenId", "The security token included in the request is invalid.");
    let late = FakeAws::refusing(
        "SignatureDoesNotMatch",
        "Signature expired: 20260101T000000Z is now earlier than 20260101T010000Z",
    );
    let wrong = FakeAws::refusing("SignatureDoesNotMatch", "The request signature we calculated does not match");
    let denying = FakeAws::refusing("AccessDenied", "User: me is not authorized to perform: sts:AssumeRole");
    let keys = [("AWS_ACCESS_KEY_ID", "AKIAEXPORTED"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_REGION", "eu-west-1")];
    let exported = |variable: &'static str, url: &str| -> Vec<(&'static str, String)> {
        let keys = keys.iter().map(|(name, value)| (*name, (*value).to_owned()));
        keys.chain([(variable, url.to_owned())]).collect()
    };
    let no_names = "there are: console, elsewhere, ";
    // Flags, variables, and the two lines: the problem and the fix.
    type Row<'a> = (&'a str, Vec<(&'a str, String)>, String, String);
    let rows: Vec<Row<'_>> = vec![
        // A profile that does not exist.
        ("--profile statik", vec![], format!("--profile: there is no profile \"statik\" in {FILES}"), "did you mean \"static\"? There are: *".into()),
        ("--profile zzz", vec![], format!("--profile: there is no profile \"zzz\" in {FILES}"), format!("{no_names}*")),
        ("", vec![("AWS_PROFILE", "zzz".into())], format!("AWS_PROFILE: there is no profile \"zzz\" in {FILES}"), format!("{no_names}*")),
        ("--profile plain", vec![], format!("--profile: there is no profile \"plain\" in {FILES}"), "~/.aws/config has a section [plain]: in this file it must be [profile plain]".into()),
        ("--profile x", vec![("AWS_CONFIG_FILE", "none".into())], "--profile: there is no profile \"x\" in none and ~/.aws/credentials".into(), "there are no profiles; make one with `aws configure --profile x` or `aws configure sso --profile x`".into()),
        // Profiles without usable credentials.
        ("--profile orphan", vec![], format!("profile \"orphan\" has the source_profile \"statics\", which is not in {FILES}"), "did you mean \"static\"? There are: *".into()),
        ("--profile ping", vec![], "profile \"pong\" has the source_profile \"ping\", which needs \"pong\" in turn".into(), "correct source_profile in ~/.aws/config".into()),
        ("--profile loop", vec![], "profile \"loop\" has no credentials, and --profile allows no others".into(), "run `aws configure --profile loop` or `aws configure sso --profile loop`".into()),
        ("--profile empty", vec![], "profile \"empty\" has no credentials, and --profile allows no others".into(), "run `aws configure --profile empty` or `aws configure sso --profile empty`".into()),
        ("--profile failing", vec![], "credential_process of profile \"failing\" (/bin/false) gave no credentials: Error retrieving credentials: external process exited with code exit status: 1. *".into(), format!("run the command by hand; it is in {FILES}")),
        ("--profile role", vec![("AWS_ENDPOINT_URL_STS", denying.url.clone())], "profile \"role\" gave no credentials: AccessDenied: User: me is not authorized to perform: sts:AssumeRole".into(), "check it with: aws sts get-caller-identity --profile role".into()),
        ("--profile mfa", vec![], "profile \"mfa\" needs a code of the MFA device arn:aws:iam::111122223333:mfa/me to assume its role, and wschat does not ask for one".into(), "eval \"$(aws configure export-credentials --profile mfa --format env)\", then run this again with --region eu-west-1 and without --profile".into()),
        ("--profile halfkey", vec![], "profile \"halfkey\" has aws_access_key_id and no aws_secret_access_key".into(), format!("give [halfkey] both, in {FILES}")),
        ("--profile norole", vec![], "profile \"norole\" has a role_arn but no source_profile or credential_source".into(), "give it source_profile or credential_source, in ~/.aws/config".into()),
        ("--profile console", vec![], "profile \"console\" has its credentials from `aws login`, which wschat does not read".into(), "eval \"$(aws configure export-credentials --profile console --format env)\", then run this again without --profile".into()),
        // SSO.
        ("--profile sso", vec![], "profile \"sso\" is not logged in to SSO".into(), "aws sso login --profile sso".into()),
        ("--profile ssorole", vec![], "profile \"sso\" is not logged in to SSO".into(), "aws sso login --profile sso".into()),
        ("--profile oldsso", vec![], "the SSO login of profile \"oldsso\" expired at 2020-01-01T00:00:00Z".into(), "aws sso login --profile oldsso".into()),
        ("", vec![("AWS_PROFILE", "newsso".into())], "profile \"newsso\" is not logged in to SSO".into(), "aws sso login --profile newsso".into()),
        // No credentials at all.
        ("--region eu-west-1", vec![], format!("no AWS credentials: AWS_ACCESS_KEY_ID not set, profile \"default\" in {FILES} not there, AWS_WEB_IDENTITY_TOKEN_FILE not set, AWS_CONTAINER_CREDENTIALS_* not set, EC2 instance metadata turned off"), "name a profile with --profile (console, elsewhere, empty, *), or run with --local, which needs no account".into()),
        ("--region eu-west-1", vec![("AWS_ACCESS_KEY_ID", "AKIA".into())], "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not".into(), "set both, or unset AWS_ACCESS_KEY_ID to use a profile".into()),
        // An invalid configuration file.
        ("--profile static", vec![("AWS_CONFIG_FILE", broken.clone())], format!("could not parse profile file: error parsing {broken} on line 3: Expected an '=' sign defining a property"), "correct that file; `aws configure list` reads it, too".into()),
        // Regions.
        ("--profile static --region eu-west", vec![], "\"eu-west\" cannot be the name of an AWS region".into(), "did you mean \"eu-west-1\"?".into()),
        ("--profile static --region eu-west-1a", vec![], "\"eu-west-1a\" cannot be the name of an AWS region".into(), "did you mean \"eu-west-1\"?".into()),
        ("--profile static --region Frankfurt", vec![], "\"Frankfurt\" cannot be the name of an AWS region".into(), "regions are named like \"eu-west-1\"; `aws ec2 describe-regions` lists them".into()),
        ("--profile static --region eu-wset-1", vec![("HTTPS_PROXY", dead.clone())], format!("there is no region \"eu-wset-1\" that wschat knows, and it cannot connect to https://sts.eu-wset-1.amazonaws.com through the proxy {dead} (HTTPS_PROXY): Connection refused*"), "did you mean \"eu-west-1\"?".into()),
        ("--profile noregion", vec![], "no region is configured".into(), "give one with --region, AWS_REGION, or `region` in the profile".into()),
        // Invalid endpoints.
        ("", exported("AWS_ENDPOINT_URL", ""), "AWS_ENDPOINT_URL is empty".into(), "unset it, or set it to a URL".into()),
        ("", exported("AWS_ENDPOINT_URL_LAMBDA", ""), "AWS_ENDPOINT_URL_LAMBDA is empty".into(), "unset it, or set it to a URL".into()),
        ("", exported("AWS_ENDPOINT_URL", "localhost:4566"), "AWS_ENDPOINT_URL is not a URL: localhost:4566".into(), "did you mean http://localhost:4566?".into()),
        ("--endpoint-url ftp://x", exported("AWS_PROFILE", "static"), "--endpoint-url is not a URL: ftp://x".into(), "it must begin with http:// or https://".into()),
        ("--profile noscheme", vec![], "endpoint_url of profile \"noscheme\" is not a URL: localhost:4566".into(), "did you mean http://localhost:4566?".into()),
        // Endpoints where nothing listens.
        ("", exported("AWS_ENDPOINT_URL", &dead), format!("cannot connect to {dead} (AWS_ENDPOINT_URL): Connection refused*"), "correct or unset AWS_ENDPOINT_URL, or start the server that should answer there".into()),
        ("", exported("AWS_ENDPOINT_URL_STS", &dead), format!("cannot connect to {dead} (AWS_ENDPOINT_URL_STS): Connection refused*"), "correct or unset AWS_ENDPOINT_URL_STS, or start the server that should answer there".into()),
        ("--profile elsewhere", vec![], "cannot connect to http://127.0.0.1:9 (the services of profile \"elsewhere\"): Connection refused*".into(), "correct the services of profile \"elsewhere\", or start the server that should answer there".into()),
        ("--profile role", vec![("AWS_ENDPOINT_URL_STS", dead.clone())], format!("cannot connect to {dead} (AWS_ENDPOINT_URL_STS): Connection refused*"), "correct or unset AWS_ENDPOINT_URL_STS, or start the server that should answer there".into()),
        // Proxies.
        ("--profile static", vec![("HTTPS_PROXY", dead.clone())], format!("cannot connect to https://sts.eu-west-1.amazonaws.com through the proxy {dead} (HTTPS_PROXY): Connection refused*"), "correct or unset HTTPS_PROXY, or name the host in NO_PROXY".into()),
        ("--profile static", vec![("all_proxy", "socks5://me:secret@proxy:1".into())], "all_proxy does not name a proxy: socks5://proxy:1".into(), "it must be a URL with http:// or https://, as http://proxy.example.com:8080".into()),
        // Credentials that AWS rejects.
        ("", exported("AWS_ENDPOINT_URL", &expired.url), "the credentials of AWS_ACCESS_KEY_ID (AKIAEXPORTED) have expired (sts.GetCallerIdentity: ExpiredToken: The security token included in the request is expired)".into(), "export new ones, or unset AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN to use a profile".into()),
        ("--profile static", vec![("AWS_ENDPOINT_URL", expired.url.clone())], "the credentials of profile \"static\" have expired (sts.GetCallerIdentity: ExpiredToken: *)".into(), format!("get new ones for [static] in {FILES}")),
        ("--profile static", vec![("AWS_ENDPOINT_URL", unknown.url.clone())], "AWS does not know the credentials of profile \"static\" (sts.GetCallerIdentity: InvalidClientTokenId: The security token included in the request is invalid.)".into(), "is the key deleted or inactive, *".into()),
        ("--profile static", vec![("AWS_ENDPOINT_URL", late.url.clone())], "AWS's clock and this machine's (20*Z) are more than five minutes apart (sts.GetCallerIdentity: SignatureDoesNotMatch: Signature expired: *)".into(), "set this machine's clock, for example with `timedatectl set-ntp true`".into()),
        ("--profile static", vec![("AWS_ENDPOINT_URL", wrong.url.clone())], "the secret of profile \"static\" does not match its access key (sts.GetCallerIdentity: SignatureDoesNotMatch: *)".into(), "copy the secret access key again: a character is wrong or missing".into()),
    ];
    for (flags, variables, what, help) in &rows {
        let flags: Vec<&str> = ["url", "--stack", "app"].into_iter().chain(flags.split_whitespace()).collect();
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let ended = home.run(&flags, &variables);
        let expected = format!("error: {what}\n  {help}\n");
        assert!(fits(&ended.stderr, &expected), "{flags:?} {variables:?}\nsays\n{}\nand not\n{expected}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        assert!(!ended.stderr.contains("--token") && !ended.stderr.contains("me:secret"), "{}", ended.stderr);
    }
}

#[test]
fn an_unreachable_endpoint_of_one_service_is_named() {
    let home = home();
    let aws = FakeAws::knowing(&[("AKIAPROFILE", "222222222222")]);
    let dead = format!("http://127.0.0.1:{}", closed_port());
    let variables = [("AWS_ENDPOINT_URL", aws.url.as_str()), ("AWS_ENDPOINT_URL_APIGATEWAYV2", dead.as_str())];
    let ended = home.run(&["url", "--stack", "app", "--profile", "static"], &variables);
    let expected = format!("cannot connect to {dead} (AWS_ENDPOINT_URL_APIGATEWAYV2): Connection refused");
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
}

#[test]
fn the_local_cloud_ignores_the_configuration_for_aws() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    let home = Home::with(&[("config", "nonsense\n")]);
    let proxy = Proxy::to(closed_port());
    let dead = format!("http://127.0.0.1:{}", closed_port());
    let mut command = cloud.command(&["plan", "--local"]);
    command.env("AWS_CONFIG_FILE", home.path().join(".aws/config")).envs([
        ("AWS_PROFILE", "nobody"),
        ("AWS_ENDPOINT_URL", dead.as_str()),
        ("AWS_ENDPOINT_URL_IAM", dead.as_str()),
        ("ALL_PROXY", proxy.url().as_str()),
        ("HTTPS_PROXY", "socks5://nonsense"),
    ]);
    let run = cloud.begin_command(&mut command).end().exits(2);
    run.changes_nothing();
    assert!(run.calls.iter().any(|call| call.service == "iam"), "{}", run.stderr);
    assert_eq!(proxy.heard(), "");
}

#[test]
fn calls_to_aws_use_the_proxy_of_the_environment() {
    let home = home();
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = Proxy::to(closed_port());
        let url = proxy.url().replace("http://", "http://me:secret@");
        let ended = home.run(&["url", "--stack", "app", "--profile", "static"], &[(variable, &url)]);
        assert!(proxy.count("CONNECT sts.eu-west-1.amazonaws.com:443") > 0, "{variable}: {}", proxy.heard());
        assert!(proxy.heard().to_lowercase().contains("proxy-authorization: basic bwu6c2vjcmv0"), "{}", proxy.heard());
        let expected = format!(
            "error: cannot connect to https://sts.eu-west-1.amazonaws.com through the proxy {} ({variable}): tunnel error: unsuccessful\n  correct or unset {variable}, or name the host in NO_PROXY\n",
            proxy.url()
        );
        assert_eq!(ended.stderr, expected);
    }
    for variable in ["NO_PROXY", "no_proxy"] {
        let proxy = Proxy::to(closed_port());
        let variables = [
            ("HTTPS_PROXY", &*proxy.url()),
            ("AWS_ENDPOINT_URL", "https://cloud.invalid"),
            (variable, "example.com,.invalid"),
        ];
        let ended = home.run(&["url", "--stack", "app", "--profile", "static"], &variables);
        assert_eq!(proxy.heard(), "");
        assert!(ended.stderr.starts_with("error: cannot connect to https://cloud.invalid (AWS_ENDPOINT_URL): "));
    }
}

#[tokio::test]
async fn a_stack_is_deployed_and_deleted_through_a_proxy() {
    let cloud = Cloud::start().go();
    template::echo_without_handler(&cloud);
    let proxy = Proxy::to(cloud.port());
    let run = |verb: &str| {
        let mut command = cloud.command(&[verb, "--yes"]);
        command.envs([
            ("AWS_ENDPOINT_URL", "http://cloud.invalid"),
            ("HTTP_PROXY", &proxy.url()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ]);
        cloud.begin_command(&mut command).end().ok()
    };
    let up = run("up");
    assert_eq!(proxy.count(" http://cloud.invalid/"), up.calls.len());
    run("down");
    same(&cloud.inventory().await, &Inventory::new());
}

#[test]
fn loopback_uses_no_proxy() {
    let cloud = Cloud::start().go();
    let proxy = Proxy::to(closed_port());
    for host in ["127.0.0.1", "localhost"] {
        let endpoint = format!("http://{host}:{}", cloud.port());
        let mut command = cloud.command(&["status", "--endpoint-url", &endpoint, "--region", "us-east-1"]);
        let url = proxy.url();
        command.envs([
            ("HTTP_PROXY", url.as_str()),
            ("ALL_PROXY", url.as_str()),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
        ]);
        cloud.begin_command(&mut command).end().exits(3);
        assert_eq!(proxy.heard(), "");
    }
}
