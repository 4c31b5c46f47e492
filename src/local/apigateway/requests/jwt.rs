//! Tokens that JWT authorizers check (developer guide, "Control access to HTTP APIs with JWT authorizers in API Gateway"): signed
//! with RSA by a key of their issuer, for one of the configured audiences, and neither too old nor too young.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents};
use serde_json::{Map, Value};

use crate::local::apigateway::endpoint;
use crate::local::apigateway::mapping::IntegrationRequest;
use crate::local::apigateway::model::JwtConfig;
use crate::local::lock::lock;

/// How long an issuer's keys are used. (AWS keeps them for two hours; here an issuer that starts again has others.)
const KEPT: Duration = Duration::from_secs(300);

/// How long after keys were fetched they are fetched again for a token whose key is not among them.
const AGAIN: Duration = Duration::from_secs(5);

/// How long an issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// The keys of issuers, as they were fetched.
#[derive(Debug, Default)]
pub struct Keys {
    by_issuer: Mutex<HashMap<String, Fetched>>,
}

/// When the keys of an issuer were fetched, and they.
type Fetched = (Instant, Arc<Vec<Key>>);

/// What a token says.
pub type Claims = Map<String, Value>;

impl Keys {
    /// Checks a token now. `roots` is the PEM file with the certificates that issuers are trusted by.
    ///
    /// # Errors
    /// What is wrong with it, or why its issuer's keys are not known.
    pub async fn check(&self, token: &str, config: &JwtConfig, roots: &Path, api: &str) -> Result<Claims, String> {
        let token = token.strip_prefix("Bearer ").or_else(|| token.strip_prefix("bearer ")).unwrap_or(token).trim();
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let (since, keys) = self.of(&config.issuer, roots, api).await?;
        match verify(token, &keys, config, now) {
            Err(Wrong::UnknownKey) if since.elapsed() > AGAIN => {
                lock(&self.by_issuer).remove(&config.issuer);
                let (_, keys) = self.of(&config.issuer, roots, api).await?;
                verify(token, &keys, config, now).map_err(Wrong::words)
            }
            checked => checked.map_err(Wrong::words),
        }
    }

    async fn of(&self, issuer: &str, roots: &Path, api: &str) -> Result<(Instant, Arc<Vec<Key>>), String> {
        if let Some((since, keys)) = lock(&self.by_issuer).get(issuer)
            && since.elapsed() < KEPT
        {
            return Ok((*since, Arc::clone(keys)));
        }
        let keys = Arc::new(fetch(issuer, roots, api).await?);
        let known = (Instant::now(), keys);
        lock(&self.by_issuer).insert(issuer.to_owned(), known.clone());
        Ok(known)
    }
}

/// Reads an issuer's keys, by way of its OpenID configuration.
async fn fetch(issuer: &str, roots: &Path, api: &str) -> Result<Vec<Key>, String> {
    let configuration = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let configuration = get(&configuration, roots, api).await?;
    let address = configuration["jwks_uri"].as_str().ok_or("the issuer's OpenID configuration has no jwks_uri")?;
    Ok(read_keys(&get(address, roots, api).await?))
}

async fn get(address: &str, roots: &Path, api: &str) -> Result<Value, String> {
    let sending = endpoint::send(Some("GET"), address, IntegrationRequest::default(), roots, api);
    let answer = tokio::time::timeout(TIMEOUT, sending).await;
    let answer = answer.map_err(|_| format!("{address} did not answer within {} s", TIMEOUT.as_secs()))?;
    let answer = answer.map_err(|problem| format!("{address} does not answer: {problem}"))?;
    if answer.status != 200 {
        return Err(format!("{address} answers {}", answer.status));
    }
    serde_json::from_slice(&answer.body).map_err(|_| format!("{address} answers no JSON"))
}

/// The RSA keys of a JSON Web Key Set (RFC 7517).
fn read_keys(set: &Value) -> Vec<Key> {
    let decoded = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str()?.trim_end_matches('=')).ok();
    let read = |key: &Value| {
        let is_rsa = key["kty"] == "RSA" && key["use"].as_str().is_none_or(|usage| usage == "sig");
        let id = key["kid"].as_str().map(str::to_owned);
        is_rsa.then_some(())?;
        Some(Key { id, modulus: decoded(&key["n"])?, exponent: decoded(&key["e"])? })
    };
    set["keys"].as_array().into_iter().flatten().filter_map(read).collect()
}

/// What is wrong with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wrong {
    /// The issuer has no such key, as far as is known.
    UnknownKey,
    Other(String),
}

impl Wrong {
    fn words(self) -> String {
        match self {
            Self::UnknownKey => "the issuer has no key with the token's kid".to_owned(),
            Self::Other(words) => words,
        }
    }
}

/// Checks a token's signature and claims at a time, in seconds since the epoch.
fn verify(token: &str, keys: &[Key], config: &JwtConfig, now: i64) -> Result<Claims, Wrong> {
    let wrong = |words: &str| Wrong::Other(words.to_owned());
    let mut parts = token.split('.');
    let (Some(head), Some(body), Some(signed), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(wrong("it is not a JSON Web Token"));
    };
    let json =
        |part: &str| -> Option<Map<String, Value>> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
    let header = json(head).ok_or_else(|| wrong("its header is not JSON"))?;
    let claims = json(body).ok_or_else(|| wrong("its claims are not JSON"))?;
    let algorithm: &signature::RsaParameters = match header.get("alg").and_then(Value::as_str) {
        Some("RS256") => &signature::RSA_PKCS1_2048_8192_SHA256,
        Some("RS384") => &signature::RSA_PKCS1_2048_8192_SHA384,
        Some("RS512") => &signature::RSA_PKCS1_2048_8192_SHA512,
        other => {
            let name = other.unwrap_or("no algorithm");
            return Err(Wrong::Other(format!("it is signed with {name}; API Gateway takes RS256, RS384 and RS512")));
        }
    };
    let id = header.get("kid").and_then(Value::as_str);
    let key = keys.iter().find(|key| id.is_none() || key.id.as_deref() == id).ok_or(Wrong::UnknownKey)?;
    let signed = URL_SAFE_NO_PAD.decode(signed).map_err(|_| wrong("its signature is not base64"))?;
    let public = RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent };
    let text = &token[..head.len() + 1 + body.len()];
    public.verify(algorithm, text.as_bytes(), &signed).map_err(|_| wrong("its signature is not the issuer's"))?;
    let claim = |name: &str| claims.get(name);
    if claim("iss").and_then(Value::as_str) != Some(config.issuer.as_str()) {
        let issuer = claim("iss").and_then(Value::as_str).unwrap_or("none");
        return Err(Wrong::Other(format!("its issuer (iss) is {issuer}, not {}", config.issuer)));
    }
    // "aud or client_id must match one of the audience entries; client_id is validated only if aud is not present".
    let audiences: Vec<&str> = match claim("aud").or_else(|| claim("client_id")) {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.iter().any(|one| config.audience.iter().any(|allowed| allowed == one)) {
        let (given, allowed) = (audiences.join(", "), config.audience.join(", "));
        return Err(Wrong::Other(format!("its audience (aud) is {given:?}, not {allowed:?}")));
    }
    let seconds = |name: &str| claim(name).and_then(Value::as_f64);
    let now = now as f64;
    match seconds("exp") {
        None => return Err(wrong("it does not say when it expires (exp)")),
        Some(end) if end <= now => return Err(wrong("it has expired")),
        Some(_) => {}
    }
    if ["nbf", "iat"].iter().any(|name| seconds(name).is_some_and(|begin| begin > now)) {
        return Err(wrong("it is not valid yet (nbf, iat)"));
    }
    Ok(claims)
}

/// The scopes of a token: `scope`, or `scp`.
pub fn scopes(claims: &Claims) -> Vec<String> {
    match claims.get("scope").or_else(|| claims.get("scp")) {
        Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Claims as events have them: all of them are texts.
pub fn as_texts(claims: &Claims) -> Map<String, Value> {
    fn text(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(all) => format!("[{}]", all.iter().map(text).collect::<Vec<_>>().join(" ")),
            other => other.to_string(),
        }
    }
    claims.iter().map(|(name, value)| (name.clone(), text(value).into())).collect()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
    use serde_json::json;

    use super::*;

    /// Made for these tests alone: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -outform DER.
    const PRIVATE: &[u8] = include_bytes!("jwt_test_key.der");

    fn pair() -> RsaKeyPair {
        RsaKeyPair::from_pkcs8(PRIVATE).unwrap()
    }

    fn set() -> Value {
        let pair = pair();
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [
            { "kty": "EC", "kid": "other" },
            { "kty": "RSA", "use": "sig", "kid": "k1", "n": encode(&public.n), "e": encode(&public.e) },
        ] })
    }

    fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let pair = pair();
        let mut signed = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signed).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signed))
    }

    fn config() -> JwtConfig {
        JwtConfig { issuer: "https://id.example.com/".to_owned(), audience: vec!["hooks".to_owned()] }
    }

    #[test]
    fn a_token_of_the_issuer_for_the_audience_is_taken() {
        let keys = read_keys(&set());
        assert_eq!(keys.len(), 1);
        let header = json!({ "alg": "RS256", "kid": "k1" });
        let claims = json!({ "iss": "https://id.example.com/", "aud": ["x", "hooks"], "exp": 100, "scope": "a b" });
        let checked = verify(&token(&header, &claims), &keys, &config(), 50).unwrap();
        assert_eq!(scopes(&checked), ["a", "b"]);
        assert_eq!(as_texts(&checked)["aud"], "[x hooks]");
        assert_eq!(as_texts(&checked)["exp"], "100");
        let by_client = json!({ "iss": "https://id.example.com/", "client_id": "hooks", "exp": 100 });
        assert!(verify(&token(&header, &by_client), &keys, &config(), 50).is_ok());
    }

    #[test]
    fn any_other_token_is_refused_with_the_reason() {
        let keys = read_keys(&set());
        let good = json!({ "alg": "RS256", "kid": "k1" });
        let claims = json!({ "iss": "https://id.example.com/", "aud": "hooks", "exp": 100 });
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            claims
        };
        for (header, claims, now, expected) in [
            (&good, claims.clone(), 100, "it has expired"),
            (&good, with("exp", Value::Null), 50, "it does not say when it expires (exp)"),
            (&good, with("nbf", json!(60)), 50, "it is not valid yet (nbf, iat)"),
            (
                &good,
                with("iss", json!("https://evil.example.com/")),
                50,
                "its issuer (iss) is https://evil.example.com/",
            ),
            (&good, with("aud", json!("other")), 50, "its audience (aud) is \"other\""),
            (&json!({ "alg": "none" }), claims.clone(), 50, "it is signed with none"),
            (&json!({ "alg": "RS256", "kid": "k2" }), claims.clone(), 50, "the issuer has no key with the token's kid"),
        ] {
            let wrong = verify(&token(header, &claims), &keys, &config(), now).unwrap_err().words();
            assert!(wrong.starts_with(expected), "{wrong}");
        }
        let mut forged = token(&good, &claims);
        forged.replace_range(forged.len() - 6.., "AAAAAA");
        assert_eq!(verify(&forged, &keys, &config(), 50).unwrap_err().words(), "its signature is not the issuer's");
        for nonsense in ["", "a.b", "a.b.c.d", "....", "é.é.é"] {
            assert!(verify(nonsense, &keys, &config(), 50).is_err(), "{nonsense}");
        }
    }

    #[tokio::test]
    async fn keys_come_from_the_issuer_and_are_kept() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let jwks = format!("{issuer}/keys");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = vec![0; 4096];
                let length = stream.read(&mut read).await.unwrap();
                let text = String::from_utf8_lossy(&read[..length]).into_owned();
                let path = text.split(' ').nth(1).unwrap().to_owned();
                let body = if path == "/keys" { set() } else { json!({ "jwks_uri": jwks }) }.to_string();
                log.lock().unwrap().push(path);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        let config = JwtConfig { issuer: issuer.clone(), audience: vec!["hooks".to_owned()] };
        let claims = json!({ "iss": issuer, "aud": "hooks", "exp": 4_000_000_000_u64 });
        let token = token(&json!({ "alg": "RS256", "kid": "k1" }), &claims);
        let keys = Keys::default();
        for _ in 0..2 {
            let checked = keys.check(&format!("Bearer {token}"), &config, Path::new("none"), "abc").await.unwrap();
            assert_eq!(checked["aud"], "hooks");
        }
        assert_eq!(*asked.lock().unwrap(), ["/.well-known/openid-configuration", "/keys"]);
        let away = JwtConfig { issuer: "http://127.0.0.1:1".to_owned(), audience: Vec::new() };
        let why = keys.check(&token, &away, Path::new("none"), "abc").await.unwrap_err();
        assert!(why.starts_with("http://127.0.0.1:1/.well-known/openid-configuration does not answer"), "{why}");
    }
}
