//! Session tickets that every node of a cluster can read.
//!
//! A TLS ticket is the session itself, sealed for whoever has the key. The keys here follow from one secret, which
//! the nodes of a cluster share as a file, and from the epoch, twelve hours of the clock; nothing is ever exchanged.
//! The current epoch's key seals. The keys of two past epochs are accepted, so that a ticket is good for a day at
//! least, and the next one's, since clocks differ. A secret that was replaced is accepted until it is replaced again.
//!
//! ```text
//!  PRK   = HKDF-Extract(SHA-256, salt "needledrop tls tickets v1", the file's bytes)
//!  name | key = HKDF-Expand(PRK, "ticket key" | SHA-256 of the realm | epoch in 64 bits, 8 + 32 bytes)
//!  ticket = name (8) | nonce (12) | AES-256-GCM of the session, with the name as associated data | tag (16)
//!
//!  key of QUIC's address tokens   = HKDF-Expand(PRK, "quic token key", 32)
//!  key of QUIC's stateless resets = HKDF-Expand(PRK, "quic reset key" | SHA-256 of node and address, 32)
//! ```
//!
//! The realm is the authority of client certificates: a session that one authority vouched for is not resumed where
//! another one decides. Nonces are random; one key seals fewer than 2^32 tickets (NIST SP 800-38D 8.3), that is, all
//! nodes together make less than 99,000 connections a second.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::{digest, hmac, rand};
use rustls::server::ProducesTickets;

/// How long one key seals. Unit: seconds.
const EPOCH: u64 = 12 * 3600;
/// Past epochs whose tickets are accepted.
const PAST: u64 = 2;
/// How long a ticket is good for at least, which is what clients are told. Unit: seconds.
const LIFETIME: u32 = (PAST * EPOCH) as u32;
/// A secret is a key, not a password. Unit: bytes.
const SECRET_BYTES_MIN: usize = 32;
/// A file that is longer is some other file. Unit: bytes.
const SECRET_BYTES_MAX: usize = 4096;

const SALT: &[u8] = b"needledrop tls tickets v1";
const NAME_BYTES: usize = 8;
const KEY_BYTES: usize = 32;

/// Why a ticket secret was not taken. The one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// Others may read it.
    #[error("{} can be read by others (mode {mode:o}); let its owner alone read it: chmod 600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Too short to be a key, or too long to be one.
    #[error(
        "{} has {bytes} bytes; a ticket secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}, from the system's \
         randomness: head -c 32 /dev/urandom",
        path.display()
    )]
    Size {
        /// The file.
        path: PathBuf,
        /// How many bytes it has, or one more than are read.
        bytes: usize,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// What ticket keys are made from.
pub struct TicketSecret {
    path: Option<PathBuf>,
    secrets: ArcSwap<Secrets>,
}

impl TicketSecret {
    /// Reads the secret of a cluster. Blocks on the file.
    ///
    /// # Errors
    /// It cannot be read, others can read it, or it is too short.
    pub fn load(path: &Path) -> Result<Arc<Self>, TicketError> {
        let secrets = Secrets { current: read(path)?, former: None };
        Ok(Arc::new(Self { path: Some(path.to_owned()), secrets: ArcSwap::from_pointee(secrets) }))
    }

    /// A secret of this process: nobody else can read its tickets, nor this process after a restart.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn random() -> Result<Arc<Self>, TicketError> {
        let mut bytes = [0; SECRET_BYTES_MIN];
        rand::fill(&mut bytes).map_err(|_| TicketError::NoRandomness)?;
        let secrets = Secrets { current: extract(&bytes), former: None };
        Ok(Arc::new(Self { path: None, secrets: ArcSwap::from_pointee(secrets) }))
    }

    /// Reads the file again: new tickets are sealed with the new secret, those of the former one are still accepted.
    /// After an error everything is as before. Blocks on the file: call it from the blocking pool.
    ///
    /// # Errors
    /// As for [`TicketSecret::load`].
    pub fn reload(&self) -> Result<(), TicketError> {
        let Some(path) = &self.path else { return Ok(()) };
        let current = read(path)?;
        let before = self.secrets.load();
        if !current.is(&before.current) {
            let former = Some(before.current.clone());
            self.secrets.store(Arc::new(Secrets { current, former }));
        }
        Ok(())
    }

    /// What QUIC's tokens are sealed with, and what they were sealed with before: good on every node.
    pub(crate) fn quic_token_keys(&self) -> (Prk, Option<Prk>) {
        let secrets = self.secrets.load();
        let key = |secret: &Extracted| {
            let mut bytes = [0; KEY_BYTES];
            expand(&secret.prk, &[b"quic token key"], &mut bytes);
            Prk::new_less_safe(HKDF_SHA256, &bytes)
        };
        (key(&secrets.current), secrets.former.as_ref().map(key))
    }

    /// What makes stateless reset tokens of one place: a node and its address. It is another one in each place, because
    /// who can make a node reset an id must not get the reset of another's connection (RFC 9000 21.11).
    pub(crate) fn quic_reset_key(&self, place: &[u8]) -> hmac::Key {
        let mut bytes = [0; KEY_BYTES];
        expand(&self.secrets.load().current.prk, &[b"quic reset key", &Realm::of(place).0], &mut bytes);
        hmac::Key::new(hmac::HMAC_SHA256, &bytes)
    }

    /// Seals and opens tickets for one set of doors.
    pub(crate) fn ticketer(self: &Arc<Self>, realm: &[u8]) -> Arc<dyn ProducesTickets> {
        let realm = Realm::of(realm);
        Arc::new(Ticketer { secret: Arc::clone(self), realm, ring: ArcSwapOption::empty() })
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSecret").field("path", &self.path).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Extracted, TicketError> {
    let unreadable = |reason| TicketError::Unreadable { path: path.to_owned(), reason };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TicketError::Open { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
        return Err(TicketError::Size { path: path.to_owned(), bytes: bytes.len() });
    }
    Ok(extract(&bytes))
}

/// A secret after HKDF-Extract, and a mark by which two can be told apart.
#[derive(Clone)]
struct Extracted {
    prk: Prk,
    mark: [u8; NAME_BYTES],
}

impl Extracted {
    fn is(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

struct Secrets {
    current: Extracted,
    former: Option<Extracted>,
}

/// Whose sessions these are.
struct Realm([u8; 32]);

impl Realm {
    fn of(text: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, text);
        Self(digest.as_ref().try_into().expect("SHA-256 gives 32 bytes"))
    }
}

fn extract(secret: &[u8]) -> Extracted {
    let prk = Salt::new(HKDF_SHA256, SALT).extract(secret);
    let mut mark = [0; NAME_BYTES];
    expand(&prk, &[b"mark"], &mut mark);
    Extracted { prk, mark }
}

fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) {
    struct Len(usize);
    impl KeyType for Len {
        fn len(&self) -> usize {
            self.0
        }
    }
    let okm = prk.expand(info, Len(out.len())).expect("far less than 255 hashes long");
    okm.fill(out).expect("as long as asked for");
}

/// One key: its name, and what it seals with.
struct Key {
    name: [u8; NAME_BYTES],
    aead: RandomizedNonceKey,
}

impl Key {
    fn of(secret: &Extracted, realm: &Realm, epoch: u64) -> Self {
        let mut bytes = [0; NAME_BYTES + KEY_BYTES];
        expand(&secret.prk, &[b"ticket key", &realm.0, &epoch.to_be_bytes()], &mut bytes);
        let (name, key) = bytes.split_at(NAME_BYTES);
        Self {
            name: name.try_into().expect("split there"),
            aead: RandomizedNonceKey::new(&AES_256_GCM, key).expect("a key of 32 bytes"),
        }
    }

    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = session.to_vec();
        let nonce = self.aead.seal_in_place_append_tag(Aad::from(self.name), &mut sealed).ok()?;
        Some([&self.name[..], nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut session = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let len = self.aead.open_in_place(nonce, Aad::from(self.name), &mut session).ok()?.len();
        session.truncate(len);
        Some(session)
    }
}

/// The keys of one moment; the first one seals.
struct Ring {
    secrets: Arc<Secrets>,
    epoch: u64,
    keys: Vec<Key>,
}

impl Ring {
    fn at(secrets: &Arc<Secrets>, realm: &Realm, epoch: u64) -> Self {
        let epochs = || [epoch, epoch + 1].into_iter().chain(epoch.saturating_sub(PAST)..epoch);
        let both = [Some(&secrets.current), secrets.former.as_ref()];
        let keys = both.into_iter().flatten().flat_map(|secret| epochs().map(|epoch| Key::of(secret, realm, epoch)));
        Self { secrets: Arc::clone(secrets), epoch, keys: keys.collect() }
    }

    fn seal(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.keys.first()?.seal(session)
    }

    /// A ticket is whatever a stranger sends. Names are no secret, so they are compared in any time.
    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        self.keys.iter().find(|key| key.name == *name)?.open(*nonce, sealed)
    }
}

/// The shell: reads the clock, and keeps the keys of its epoch.
struct Ticketer {
    secret: Arc<TicketSecret>,
    realm: Realm,
    ring: ArcSwapOption<Ring>,
}

impl Ticketer {
    fn ring(&self) -> Arc<Ring> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch = now.as_secs() / EPOCH;
        let secrets = self.secret.secrets.load_full();
        if let Some(ring) = self.ring.load_full()
            && ring.epoch == epoch
            && Arc::ptr_eq(&ring.secrets, &secrets)
        {
            return ring;
        }
        let ring = Arc::new(Ring::at(&secrets, &self.realm, epoch));
        self.ring.store(Some(Arc::clone(&ring)));
        ring
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticketer")
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.ring().seal(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.ring().open(cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(secret: &[u8], former: Option<&[u8]>, epoch: u64) -> Ring {
        let secrets = Secrets { current: extract(secret), former: former.map(extract) };
        Ring::at(&Arc::new(secrets), &Realm::of(b""), epoch)
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// Made by another implementation: Python's hmac and cryptography, from the drawing at the top of this file.
    #[test]
    fn the_drawing_is_what_is_done() {
        let ring = ring(&[7; 32], None, 40_000);
        assert_eq!(ring.keys[0].name.to_vec(), bytes(VECTOR_NAME));
        assert_eq!(ring.open(&bytes(VECTOR_TICKET)).as_deref(), Some(&b"a session"[..]));
    }
    const VECTOR_NAME: &str = "4bdd54ecf0546504";
    const VECTOR_TICKET: &str =
        "4bdd54ecf0546504000102030405060708090a0b99abe7f9711f79e7cd1bf5c7efcca5c9c1bed2c720bdec972c";

    #[test]
    fn a_ticket_is_good_for_two_more_epochs_and_a_clock_may_be_behind() {
        let ticket = ring(&[7; 32], None, 100).seal(b"a session").unwrap();
        let opens = |epoch| ring(&[7; 32], None, epoch).open(&ticket).is_some();
        assert_eq!([98, 99, 100, 101, 102, 103].map(opens), [false, true, true, true, true, false]);
        assert!(ring(&[7; 32], None, 0).seal(b"").is_some());
    }

    #[test]
    fn a_former_secret_is_accepted_and_does_not_seal() {
        let before = ring(&[7; 32], None, 100).seal(b"a session").unwrap();
        let both = ring(&[8; 32], Some(&[7; 32]), 100);
        assert!(both.open(&before).is_some());
        let after = both.seal(b"a session").unwrap();
        assert!(ring(&[7; 32], None, 100).open(&after).is_none());
        assert!(ring(&[8; 32], None, 100).open(&before).is_none());
    }

    #[test]
    fn sessions_of_one_authority_are_nothing_to_another() {
        let secrets = Arc::new(Secrets { current: extract(&[7; 32]), former: None });
        let ticket = Ring::at(&secrets, &Realm::of(b"one"), 100).seal(b"a session").unwrap();
        assert!(Ring::at(&secrets, &Realm::of(b"two"), 100).open(&ticket).is_none());
    }

    #[test]
    fn every_bit_of_a_ticket_counts_and_none_panics() {
        let ring = ring(&[7; 32], None, 100);
        let ticket = ring.seal(b"a session").unwrap();
        assert!(ring.open(&ticket).is_some());
        for bit in 0..ticket.len() * 8 {
            let mut tampered = ticket.clone();
            tampered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(ring.open(&tampered), None, "bit {bit}");
        }
        for len in 0..ticket.len() {
            assert_eq!(ring.open(&ticket[..len]), None, "the first {len} bytes");
        }
    }
}
