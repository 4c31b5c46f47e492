//! The local cloud's own certificate authority, and the server side of TLS.
//!
//! The CA is created once and kept; the server certificate is created at every start and never written to disk. Name
//! constraints limit the CA to loopback names, so trusting it is no risk for other hosts.
//!
//! Handlers also reach this cloud's APIs by their AWS host names. A second CA signs for those. Only handlers trust it, its
//! key is never written to disk, and it is created again at every start.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;

use crate::local::context::store::{Store, write_atomically, write_private};
use crate::local::lock::lock;
use crate::local::protocol::host::s3_host;

/// The file with the CA and the machine's own root certificates, in the data folder.
pub const CA_BUNDLE: &str = "ca-bundle.pem";

/// The names of the server itself. No `*.localhost`: OpenSSL and rustls reject wildcards right below a top-level name, and
/// rustls rejects the whole certificate.
const OWN_NAMES: &[&str] =
    &["localhost", "*.execute-api.localhost", "*.s3.localhost", "s3.localhost", "127.0.0.1", "::1"];

/// For how many AWS host names certificates are cached.
const MAX_CACHED_NAMES: usize = 1000;

/// How long the server's certificate is valid: clients refuse more than 398 days.
const LEAF_DAYS: i64 = 397;

/// TLS as the server needs it.
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// The PEM file with the CA and the machine's own root certificates: programs that use it trust this cloud and
    /// public servers.
    pub ca_bundle: PathBuf,
}

/// Opens the CA of a data folder, or creates it, and creates a certificate for `localhost`, `127.0.0.1`,
/// `::1` and `*.execute-api.localhost`. `ca.pem` has only the CA.
///
/// # Errors
/// When the folder cannot be read or written, or a key cannot be created.
pub fn open(store: &Store) -> io::Result<Tls> {
    let authority = Authority::open(&store.path("ca.pem"), &store.path("ca-key.pem"))?;
    let of_aws = Authority::make(&["amazonaws.com", "amazonaws.com.cn"])?;
    let ca_bundle = store.path(CA_BUNDLE);
    write_atomically(&ca_bundle, bundle(&[&authority.pem, &of_aws.pem]).as_bytes())?;
    let certificates = Certificates { own: authority.server_certificate(OWN_NAMES)?, of_aws, made: Mutex::default() };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), ca_bundle })
}

/// Chooses the certificate for a client by the requested name.
struct Certificates {
    own: Arc<CertifiedKey>,
    of_aws: Authority,
    /// Certificates for AWS host names that clients have asked for.
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let of_api = hello.server_name().filter(|name| is_api_on_aws(name) || is_s3_on_aws(name)).and_then(|name| {
            let mut made = lock(&self.made);
            if let Some(certificate) = made.get(name) {
                return Some(Arc::clone(certificate));
            }
            let certificate = self.of_aws.server_certificate(&[name]).ok()?;
            // Clients can ask for any number of names: the cache must not grow without limit.
            if made.len() < MAX_CACHED_NAMES {
                made.insert(name.to_owned(), Arc::clone(&certificate));
            }
            Some(certificate)
        });
        of_api.or_else(|| Some(Arc::clone(&self.own)))
    }
}

/// Whether a host is that of an API Gateway API on AWS: `{apiId}.execute-api.{region}.amazonaws.com`.
pub fn is_api_on_aws(host: &str) -> bool {
    let Some((id, rest)) = host.split_once(".execute-api.") else { return false };
    let region = rest.strip_suffix(".amazonaws.com").or_else(|| rest.strip_suffix(".amazonaws.com.cn"));
    !id.is_empty() && !id.contains('.') && region.is_some_and(|region| !region.is_empty() && !region.contains('.'))
}

/// Whether a host is one of S3's on AWS.
fn is_s3_on_aws(host: &str) -> bool {
    !host.ends_with(".localhost") && s3_host(host).is_some()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn open(certificate: &Path, key: &Path) -> io::Result<Self> {
        let kept = fs::read_to_string(certificate).and_then(|pem| Ok((pem, fs::read_to_string(key)?)));
        if let Ok((pem, key)) = kept
            && let Ok(key) = KeyPair::from_pem(&key)
        {
            return Ok(Self { pem, issuer: Issuer::new(Self::parameters(loopback()), key) });
        }
        let signing_key = KeyPair::generate().map_err(io::Error::other)?;
        let parameters = Self::parameters(loopback());
        let pem = parameters.self_signed(&signing_key).map_err(io::Error::other)?.pem();
        write_private(key, signing_key.serialize_pem().as_bytes())?;
        write_atomically(certificate, pem.as_bytes())?;
        Ok(Self { pem, issuer: Issuer::new(parameters, signing_key) })
    }

    /// A CA that signs for names below `domains` and is never written to disk.
    fn make(domains: &[&str]) -> io::Result<Self> {
        let signing_key = KeyPair::generate().map_err(io::Error::other)?;
        let domains = domains.iter().map(|domain| GeneralSubtree::DnsName((*domain).to_owned())).collect();
        let mut parameters = Self::parameters(domains);
        if let Some(constraints) = &mut parameters.name_constraints {
            // Constraints on names do not apply to IP addresses.
            constraints.excluded_subtrees = vec![
                GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0; 4], 0)),
                GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix([0; 16], 0)),
            ];
        }
        let pem = parameters.self_signed(&signing_key).map_err(io::Error::other)?.pem();
        Ok(Self { pem, issuer: Issuer::new(parameters, signing_key) })
    }

    /// The same parameters at every start: the issuer in a certificate must match the subject of the kept CA certificate.
    fn parameters(permitted_subtrees: Vec<GeneralSubtree>) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "wschat local cloud CA");
        parameters.not_before = OffsetDateTime::now_utc() - Duration::days(1);
        parameters.not_after = OffsetDateTime::now_utc() + Duration::days(3650);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        parameters
    }

    /// A server certificate for these names, with its key.
    fn server_certificate(&self, names: &[&str]) -> io::Result<Arc<CertifiedKey>> {
        let owned: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(owned).map_err(io::Error::other)?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or_default());
        parameters.not_before = OffsetDateTime::now_utc() - Duration::days(1);
        parameters.not_after = parameters.not_before + Duration::days(LEAF_DAYS);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let key = provider().key_provider.load_private_key(key).map_err(io::Error::other)?;
        Ok(Arc::new(CertifiedKey::new(vec![certificate.into()], key)))
    }
}

fn loopback() -> Vec<GeneralSubtree> {
    vec![
        GeneralSubtree::DnsName("localhost".to_owned()),
        GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 1], 32)),
        GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(std::net::Ipv6Addr::LOCALHOST.octets(), 128)),
    ]
}

/// The given CA certificates, then the machine's own root certificates, as many as can be read.
fn bundle(authorities: &[&str]) -> String {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!("a root certificate of this machine cannot be read: {error}");
    }
    let mut bundle = authorities.concat();
    for certificate in native.certs {
        let text = base64::engine::general_purpose::STANDARD.encode(&certificate);
        bundle.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            // RFC 7468 breaks lines after 64 characters; base64 is ASCII, so any split is between characters.
            let (line, next) = rest.split_at(rest.len().min(64));
            bundle.push_str(line);
            bundle.push('\n');
            rest = next;
        }
        bundle.push_str("-----END CERTIFICATE-----\n");
    }
    bundle
}

#[cfg(test)]
mod tests {
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn leaf(authority: &Authority, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let parameters = CertificateParams::new(names).unwrap();
        parameters.signed_by(&KeyPair::generate().unwrap(), &authority.issuer).unwrap().into()
    }

    fn trusts(ca: &str, leaf: &CertificateDer<'_>, name: &str) -> bool {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn the_ca_is_made_once_and_signs_after_a_restart() {
        let (_folder, store) = store();
        open(&store).unwrap();
        let ca = fs::read_to_string(store.path("ca.pem")).unwrap();
        let key = fs::read_to_string(store.path("ca-key.pem")).unwrap();
        open(&store).unwrap();
        assert_eq!(fs::read_to_string(store.path("ca.pem")).unwrap(), ca);
        assert_eq!(fs::read_to_string(store.path("ca-key.pem")).unwrap(), key);

        let reopened = Authority::open(&store.path("ca.pem"), &store.path("ca-key.pem")).unwrap();
        assert!(trusts(&ca, &leaf(&reopened, &["localhost"]), "localhost"));
    }

    #[test]
    fn the_ca_signs_only_for_loopback_names() {
        let (_folder, store) = store();
        let authority = Authority::open(&store.path("ca.pem"), &store.path("ca-key.pem")).unwrap();
        for name in ["localhost", "a.localhost", "x1.execute-api.localhost", "127.0.0.1", "::1"] {
            assert!(trusts(&authority.pem, &leaf(&authority, &[name]), name), "{name}");
        }
        let wildcard = leaf(&authority, &["localhost", "*.execute-api.localhost"]);
        assert!(trusts(&authority.pem, &wildcard, "x1.execute-api.localhost"));
        for name in ["example.com", "amazonaws.com", "10.0.0.1"] {
            assert!(!trusts(&authority.pem, &leaf(&authority, &[name]), name), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_reads_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, store) = store();
        open(&store).unwrap();
        let mode = fs::metadata(store.path("ca-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_bundle_is_the_ca_and_the_machines_roots() {
        let (_folder, store) = store();
        let tls = open(&store).unwrap();
        let bundle = fs::read(tls.ca_bundle).unwrap();
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bundle).collect::<Result<_, _>>().unwrap();
        assert_eq!(certificates[0], CertificateDer::from_pem_file(store.path("ca.pem")).unwrap());
        // The second certificate is the CA for AWS host names.
        assert_eq!(certificates[2..], rustls_native_certs::load_native_certs().certs[..]);
    }

    #[test]
    fn the_second_ca_signs_only_for_aws_and_is_new_at_every_start() {
        let name = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";
        let [one, two] = [(), ()].map(|()| Authority::make(&["amazonaws.com"]).unwrap());
        assert!(trusts(&one.pem, &leaf(&one, &[name]), name));
        assert!(!trusts(&one.pem, &leaf(&two, &[name]), name));
        for name in ["localhost", "example.com", "127.0.0.1"] {
            assert!(!trusts(&one.pem, &leaf(&one, &[name]), name), "{name}");
        }
    }

    #[test]
    fn names_of_apis_are_told_from_others() {
        for (host, is) in [
            ("a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com", true),
            ("a1b2c3d4e5.execute-api.cn-north-1.amazonaws.com.cn", true),
            ("execute-api.eu-west-1.amazonaws.com", false),
            ("a.b.execute-api.eu-west-1.amazonaws.com", false),
            ("a1b2c3d4e5.execute-api.example.com", false),
            ("a1b2c3d4e5.execute-api..amazonaws.com", false),
            ("a1b2c3d4e5.execute-api.localhost", false),
        ] {
            assert_eq!(is_api_on_aws(host), is, "{host}");
        }
    }
}
