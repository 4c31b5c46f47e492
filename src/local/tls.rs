//! The local cloud's own certificate authority, and the server side of TLS.
//!
//! The CA is made once and kept; the certificate it signs for the server is made at every start and never written
//! down. The CA can sign for loopback names alone (name constraints), so trusting it costs nothing elsewhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;

use super::store::{Store, write_atomically, write_private};

/// How long the server's certificate is good for: clients refuse more than 398 days.
const LEAF_DAYS: i64 = 397;

/// TLS as the server needs it.
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// PEM: the CA and the machine's own roots. Programs that are given it trust this cloud and the rest of the
    /// world.
    pub ca_bundle: PathBuf,
}

/// Opens the CA of a data folder, making it where it is missing, and a certificate for `localhost`, `127.0.0.1`,
/// `::1` and `*.execute-api.localhost`. The CA alone is in `ca.pem`.
///
/// # Errors
/// When the folder cannot be read or written, or a key not be made.
pub fn open(store: &Store) -> io::Result<Tls> {
    let authority = Authority::open(&store.path("ca.pem"), &store.path("ca-key.pem"))?;
    let ca_bundle = store.path("ca-bundle.pem");
    write_atomically(&ca_bundle, bundle(&authority.pem).as_bytes())?;
    let acceptor = TlsAcceptor::from(Arc::new(authority.server_config()?));
    Ok(Tls { acceptor, ca_bundle })
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
            return Ok(Self { pem, issuer: Issuer::new(Self::parameters(), key) });
        }
        let signing_key = KeyPair::generate().map_err(io::Error::other)?;
        let parameters = Self::parameters();
        let pem = parameters.self_signed(&signing_key).map_err(io::Error::other)?.pem();
        write_private(key, signing_key.serialize_pem().as_bytes())?;
        write_atomically(certificate, pem.as_bytes())?;
        Ok(Self { pem, issuer: Issuer::new(parameters, signing_key) })
    }

    /// The same at every start: what a certificate says of its issuer must match what the CA's own says.
    fn parameters() -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "wschat local cloud CA");
        parameters.not_before = OffsetDateTime::now_utc() - Duration::days(1);
        parameters.not_after = OffsetDateTime::now_utc() + Duration::days(3650);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![
                GeneralSubtree::DnsName("localhost".to_owned()),
                GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 1], 32)),
                GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(std::net::Ipv6Addr::LOCALHOST.octets(), 128)),
            ],
            excluded_subtrees: Vec::new(),
        });
        parameters
    }

    fn server_config(&self) -> io::Result<ServerConfig> {
        // No `*.localhost`: OpenSSL and rustls take no wildcard right below a top-level name, rustls not even a
        // certificate that has one among others.
        let names = ["localhost", "*.execute-api.localhost", "127.0.0.1", "::1"];
        let mut parameters = CertificateParams::new(names.map(str::to_owned)).map_err(io::Error::other)?;
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "localhost");
        parameters.not_before = OffsetDateTime::now_utc() - Duration::days(1);
        parameters.not_after = parameters.not_before + Duration::days(LEAF_DAYS);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The CA's certificate, then the machine's own roots, as many of them as can be read.
fn bundle(ca: &str) -> String {
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!("a root certificate of this machine cannot be read: {error}");
    }
    let mut bundle = ca.to_owned();
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
    fn the_ca_speaks_for_loopback_alone() {
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
        let mut expected = vec![CertificateDer::from_pem_file(store.path("ca.pem")).unwrap()];
        expected.extend(rustls_native_certs::load_native_certs().certs);
        assert_eq!(certificates, expected);
    }
}
