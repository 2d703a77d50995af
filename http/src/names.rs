//! What we read out of a certificate: whose it is, which names it covers, how long it holds.
//! The only file that names x509-parser. Nothing here verifies: rustls has done so, or the file is our own.

use std::net::IpAddr;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::request::PeerIdentity;

/// The facts of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The subject's common name.
    pub(crate) common_name: Option<String>,
    /// Subject alternative names, DNS names and addresses as text.
    pub(crate) alternative_names: Vec<String>,
    /// Seconds since 1970 at which it ends.
    pub(crate) not_after: i64,
}

impl Facts {
    /// None if `der` is not a certificate.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let common_name = certificate.subject().iter_common_name().next();
        let alternative_names = certificate.subject_alternative_name().ok().flatten();
        Some(Self {
            common_name: common_name.and_then(|name| name.as_str().ok()).map(str::to_owned),
            alternative_names: alternative_names
                .map(|names| names.value.general_names.iter().filter_map(name_text).collect())
                .unwrap_or_default(),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// The common name, or without one the first alternative name.
    pub(crate) fn identity(self) -> Option<PeerIdentity> {
        let name = self.common_name.filter(|name| !name.is_empty());
        name.or_else(|| self.alternative_names.into_iter().next()).map(PeerIdentity)
    }
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) | GeneralName::RFC822Name(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
