//! HTTP integrations: real requests to the integration's URI, on this machine or elsewhere.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::mapping::{Backend, IntegrationRequest};

/// The largest response of an integration (quotas: 10 MB of payload).
const MAX_RESPONSE: usize = 10 * 1024 * 1024;

/// Sends a request to `uri`, in which names in braces are replaced by the request's path parameters. `roots` is the PEM file with
/// the certificates that are trusted; `api` is the API's id.
///
/// # Errors
/// Why there is no response, in words.
pub async fn send(
    method: Option<&str>,
    uri: &str,
    request: IntegrationRequest,
    roots: &Path,
    api: &str,
) -> Result<Backend, String> {
    let uri = address(uri, &request)?;
    let host = uri.host().ok_or("its URI names no host")?.to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    // A WebSocket API's integration has POST where it names no method.
    let method = method.filter(|method| *method != "ANY").unwrap_or("POST");
    let method: Method = method.parse().map_err(|_| format!("{method} is no HTTP method"))?;
    // A URI may have a query string and no path.
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let mut sent = Request::builder().method(method).uri(target);
    if let Some(headers) = sent.headers_mut() {
        let defaults = [
            (header::ACCEPT, "application/json".to_owned()),
            (header::CONTENT_TYPE, "application/json".to_owned()),
            (header::USER_AGENT, format!("AmazonAPIGateway_{api}")),
            (header::HOST, uri.authority().map_or(host.as_str(), |authority| authority.as_str()).to_owned()),
        ];
        for (name, value) in defaults {
            headers.insert(name, HeaderValue::from_str(&value).map_err(|error| error.to_string())?);
        }
        for name in request.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &request.headers {
            headers.append(name, value.clone());
        }
    }
    let sent = sent.body(Full::new(request.body)).map_err(|error| error.to_string())?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream =
        TcpStream::connect((bare, port)).await.map_err(|error| format!("{host}:{port} cannot be reached: {error}"))?;
    if !secure {
        return exchange(stream, sent).await;
    }
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
    let connector = TlsConnector::from(Arc::new(trust(roots)?));
    let stream =
        connector.connect(name, stream).await.map_err(|error| format!("no TLS with {host}:{port}: {error}"))?;
    exchange(stream, sent).await
}

/// The URI with path parameters and query string.
fn address(uri: &str, request: &IntegrationRequest) -> Result<Uri, String> {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut address = uri.to_owned();
    for (name, value) in &request.path {
        address = address.replace(&format!("{{{name}}}"), &encode(value));
    }
    if !request.query.is_empty() {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.query).finish();
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(&query);
    }
    address.parse().map_err(|error| format!("\"{address}\" is no URI: {error}"))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Backend, String> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("it does not speak HTTP: {error}"))?;
    // The connection's task ends with the sender.
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| format!("it gave no response: {error}"))?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MAX_RESPONSE).collect().await;
    connection.abort();
    let body = body.map_err(|error| format!("its response could not be read: {error}"))?.to_bytes();
    Ok(Backend { status: parts.status.as_u16(), headers: parts.headers, body, error: None })
}

/// TLS that trusts the certificates in a PEM file.
fn trust(roots: &Path) -> Result<ClientConfig, String> {
    let unread = |error: rustls::pki_types::pem::Error| format!("{} cannot be read: {error}", roots.display());
    let mut store = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(roots).map_err(unread)?;
    store.add_parsable_certificates(certificates.filter_map(Result::ok));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}
