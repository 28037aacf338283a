//! Who is who in a deployment: a certificate authority of its own, and one certificate a member.
//!
//! An [`Authority`] lives as long as its deployment, in memory, and its key never leaves it.
//! A member proves with its [`Identity`] that this deployment's launcher started it, and under which
//! name; so two deployments on one network cannot mix, and neither can two members.
//! Nothing here knows what a member does: a name is `r0`, `client-1` or `coordinator`.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

/// What follows a member's name in its certificate.
const DOMAIN: &str = "flexpaxos";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name cannot stand in a certificate.
    #[error("{0:?} cannot name a member: use 1 to 63 letters, digits and hyphens, as in client-1")]
    Name(String),
    /// The certificate was not made.
    #[error("cannot make the certificate of {member}")]
    Certificate {
        /// Whose.
        member: String,
        /// Why.
        source: rcgen::Error,
    },
    /// The file was not written.
    #[error("cannot write the identity of {member} to {path}")]
    Write {
        /// Whose.
        member: String,
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file was not read.
    #[error("cannot read the identity in {path}")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is open to others than its owner.
    #[error("the identity in {path} has mode {mode:03o}: others may read its key; chmod it to 600")]
    Exposed {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{path} holds no identity: it must be written by a launcher of this version")]
    Malformed {
        /// Where.
        path: PathBuf,
        /// Why.
        source: postcard::Error,
    },
}

/// The certificate authority of one deployment.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a member is known by, and what it knows others by; the certificates are DER.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name, which the certificate holds too.
    pub member: String,
    /// The member's certificate.
    pub certificate: Vec<u8>,
    /// Its private key (PKCS #8).
    pub key: Vec<u8>,
    /// The certificate of the authority that issued it: peers show one of the same.
    pub authority: Vec<u8>,
}

impl Authority {
    /// An authority with a fresh key.
    pub fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "flexpaxos deployment");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = KeyPair::generate()
            .and_then(|key| CertifiedIssuer::self_signed(params, key))
            .map_err(|source| Error::Certificate { member: "the authority".into(), source })?;
        Ok(Self { issuer })
    }

    /// An identity with a fresh key for the member of this name.
    pub fn issue(&self, member: &str) -> Result<Identity, Error> {
        if !is_name(member) {
            return Err(Error::Name(member.into()));
        }
        let make = || {
            let mut params = CertificateParams::new([server_name(member)])?;
            params.distinguished_name.push(DnType::CommonName, member);
            // Every member both dials and is dialled.
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &self.issuer)?;
            Ok(Identity {
                member: member.into(),
                certificate: certificate.der().to_vec(),
                key: key.serialize_der(),
                authority: self.issuer.as_ref().der().to_vec(),
            })
        };
        make().map_err(|source| Error::Certificate { member: member.into(), source })
    }
}

impl Identity {
    /// What [`Self::from_bytes`] reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("four strings of bytes encode")
    }

    /// Reads one; `name` is where it comes from, for messages.
    pub fn from_bytes(name: &Path, bytes: &[u8]) -> Result<Self, Error> {
        postcard::from_bytes(bytes)
            .map_err(|source| Error::Malformed { path: name.to_owned(), source })
    }

    /// Writes it to a new file that only its owner may read.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let bytes = self.to_bytes();
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(&bytes))
            .map_err(|source| {
                let (member, path) = (self.member.clone(), path.to_owned());
                Error::Write { member, path, source }
            })
    }

    /// Reads what [`Identity::write`] wrote; refuses a file that others may read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Read { path: path.to_owned(), source };
        let mut file = OpenOptions::new().read(true).open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Exposed { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(unreadable)?;
        Self::from_bytes(path, &bytes)
    }
}

/// Without the key: identities end up in logs.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("member", &self.member).finish_non_exhaustive()
    }
}

/// The name that the certificate of `member` is valid for.
pub(super) fn server_name(member: &str) -> String {
    format!("{member}.{DOMAIN}")
}

/// The member whose certificate this is, as its name says; nothing is verified here.
pub(super) fn member_of(certificate: &rustls::pki_types::CertificateDer<'_>) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    let name = certificate.valid_dns_names().next()?;
    let member = name.strip_suffix(DOMAIN)?.strip_suffix('.')?;
    is_name(member).then(|| member.to_owned())
}

/// Whether this is one label of a DNS name.
fn is_name(member: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&member.len())
        && member.bytes().all(inner)
        && !member.starts_with('-')
        && !member.ends_with('-')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_certificate_names_its_member() {
        let authority = Authority::new().unwrap();
        for member in ["r0", "client-1", "coordinator"] {
            let identity = authority.issue(member).unwrap();
            assert_eq!(member_of(&identity.certificate.into()).as_deref(), Some(member));
        }
        assert_eq!(member_of(&vec![1, 2, 3].into()), None);
    }

    #[test]
    fn a_name_that_is_no_dns_label_is_refused() {
        let authority = Authority::new().unwrap();
        for member in ["", "r0.r1", "-r", "r-", "r 0", "é", &"r".repeat(64)] {
            assert!(matches!(authority.issue(member), Err(Error::Name(name)) if name == member));
        }
    }

    #[test]
    fn a_written_identity_is_read_back_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r0.identity");
        let identity = Authority::new().unwrap().issue("r0").unwrap();
        identity.write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Identity::read(&path).unwrap(), identity);
        assert!(matches!(identity.write(&path), Err(Error::Write { .. })), "overwritten");
    }

    #[test]
    fn a_file_that_others_may_read_or_that_holds_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r0.identity");
        assert!(matches!(Identity::read(&path), Err(Error::Read { .. })));
        std::fs::write(&path, "something else").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::read(&path), Err(Error::Exposed { mode: 0o640, .. })));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(matches!(Identity::read(&path), Err(Error::Malformed { .. })));
    }

    #[test]
    fn a_key_is_not_printed() {
        let identity = Authority::new().unwrap().issue("r0").unwrap();
        assert_eq!(format!("{identity:?}"), "Identity { member: \"r0\", .. }");
    }
}
