//! Certificates for a development machine: an authority of its own, and what it signs. The only file that names rcgen.
//!
//! Made once and kept: a run with the same names changes nothing, a leaf that ends soon or lacks a name is made
//! anew under the same authority, so that a browser which trusts `ca.pem` goes on doing so.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};

use crate::certificates::read_chain;
use crate::names::Facts;

/// Browsers refuse leaves that hold longer than 398 days.
const LEAF_DAYS: u64 = 365;
const CA_DAYS: u64 = 3650;
/// What ends sooner than this is made anew.
const RENEW_BEFORE_DAYS: u64 = 30;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Certificates hold from a day ago on, for machines whose clocks differ.
const BACKDATE: Duration = DAY;
/// Names that every server leaf covers.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DevCertError {
    /// A file cannot be written or read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// A name that a certificate cannot carry, or an authority's key that is no key.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Paths of the development certificates. Keys are readable by their owner only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevCerts {
    /// The authority's certificate: what clients must trust.
    pub ca: PathBuf,
    /// Certificate of the edge's and gateway's doors.
    pub server: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// Certificate of the origin's doors.
    pub origin: PathBuf,
    /// Its key.
    pub origin_key: PathBuf,
    /// The edge's certificate as a client of the origin.
    pub edge: PathBuf,
    /// Its key.
    pub edge_key: PathBuf,
}

/// One certificate to be made or kept.
struct Leaf<'a> {
    certificate: &'a Path,
    key: &'a Path,
    common_name: &'a str,
    names: &'a [String],
    usage: ExtendedKeyUsagePurpose,
}

impl DevCerts {
    /// Makes what is missing in `dir`, renews what ends within 30 days or lacks a name, and keeps the rest. Servers
    /// cover localhost, 127.0.0.1, ::1 and `extra_names` (DNS names or addresses). Blocks on files.
    pub fn ensure(dir: &Path, extra_names: &[String], now: SystemTime) -> Result<Self, DevCertError> {
        fs::create_dir_all(dir).map_err(|reason| DevCertError::File { path: dir.to_owned(), reason })?;
        let certs = Self::paths(dir);
        let issuer = authority(&certs.ca, &dir.join("ca.key"), now)?;
        let mut names: Vec<String> = LOCAL_NAMES.map(str::to_owned).to_vec();
        for name in extra_names.iter().map(|name| canonical(name)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        for leaf in [
            Leaf {
                certificate: &certs.server,
                key: &certs.server_key,
                common_name: "needledrop server",
                names: &names,
                usage: server.clone(),
            },
            Leaf {
                certificate: &certs.origin,
                key: &certs.origin_key,
                common_name: "needledrop origin",
                names: &names,
                usage: server,
            },
            Leaf {
                certificate: &certs.edge,
                key: &certs.edge_key,
                common_name: "needledrop edge",
                names: &[],
                usage: ExtendedKeyUsagePurpose::ClientAuth,
            },
        ] {
            leaf.ensure(&issuer, now)?;
        }
        Ok(certs)
    }

    /// Where the certificates of `dir` are, made or not.
    pub fn paths(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.pem"),
            server: dir.join("server.pem"),
            server_key: dir.join("server.key"),
            origin: dir.join("origin.pem"),
            origin_key: dir.join("origin.key"),
            edge: dir.join("edge.pem"),
            edge_key: dir.join("edge.key"),
        }
    }
}

impl Leaf<'_> {
    fn ensure(&self, issuer: &Maker, now: SystemTime) -> Result<(), DevCertError> {
        if !issuer.is_new && self.is_good(now) {
            return Ok(());
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(self.names)?;
        params.distinguished_name.push(DnType::CommonName, self.common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![self.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, LEAF_DAYS);
        let certificate = params.signed_by(&key, &issuer.issuer)?;
        // The key first: a certificate without its key would look good to the next run.
        write(self.key, &key.serialize_pem(), 0o600)?;
        write(self.certificate, &certificate.pem(), 0o644)
    }

    fn is_good(&self, now: SystemTime) -> bool {
        let Some(facts) = facts(self.certificate) else {
            return false;
        };
        let covers = |name: &String| facts.alternative_names.contains(name);
        self.key.exists() && holds(&facts, now) && self.names.iter().all(covers)
    }
}

/// The authority, and whether this run made it (then every leaf must be made too).
struct Maker {
    issuer: Issuer<'static, KeyPair>,
    is_new: bool,
}

fn authority(certificate: &Path, key: &Path, now: SystemTime) -> Result<Maker, DevCertError> {
    if facts(certificate).is_some_and(|facts| holds(&facts, now))
        && let Ok(key_text) = fs::read_to_string(key)
    {
        let text = fs::read_to_string(certificate)
            .map_err(|reason| DevCertError::File { path: certificate.to_owned(), reason })?;
        let issuer = Issuer::from_ca_cert_pem(&text, KeyPair::from_pem(&key_text)?)?;
        return Ok(Maker { issuer, is_new: false });
    }
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "needledrop development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, CA_DAYS);
    let made = params.self_signed(&pair)?;
    write(key, &pair.serialize_pem(), 0o600)?;
    write(certificate, &made.pem(), 0o644)?;
    Ok(Maker { issuer: Issuer::new(params, pair), is_new: true })
}

fn set_validity(params: &mut CertificateParams, now: SystemTime, days: u64) {
    let now = rcgen::date_time_ymd(1970, 1, 1) + now.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = now - BACKDATE;
    params.not_after = now + DAY * u32::try_from(days).expect("a few thousand days");
}

fn facts(certificate: &Path) -> Option<Facts> {
    Facts::of(read_chain(certificate).ok()?.first()?)
}

fn holds(facts: &Facts, now: SystemTime) -> bool {
    let renew_from = now + DAY * RENEW_BEFORE_DAYS as u32;
    let renew_from = renew_from.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    facts.not_after > i64::try_from(renew_from).unwrap_or(i64::MAX)
}

/// One text for each name, as certificates give it back: else a name would be missing for ever.
fn canonical(name: &str) -> String {
    name.parse::<IpAddr>().map_or_else(|_| name.to_ascii_lowercase(), |address| address.to_string())
}

/// Writes aside and renames, so that a reader sees the old file or the new one. The mode is set before a byte is in.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), DevCertError> {
    let failed = |reason| DevCertError::File { path: path.to_owned(), reason };
    let aside = path.with_added_extension("new");
    let _ = fs::remove_file(&aside);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&aside).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&aside, path).map_err(failed)
}
