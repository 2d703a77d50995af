//! Keys of what QUIC gives to clients, to be shown later: tokens that prove an address (Retry and NEW_TOKEN), sealed
//! like session tickets with what the nodes of a cluster have in common.

use std::sync::Arc;

use quinn_proto::crypto::{AeadKey, CryptoError, HandshakeTokenKey};

use crate::tickets::TicketSecret;

/// Seals with the secret of now, and opens what was sealed with the one before it too.
pub(super) struct TokenKey(pub(super) Arc<TicketSecret>);

impl HandshakeTokenKey for TokenKey {
    fn aead_from_hkdf(&self, random_bytes: &[u8]) -> Box<dyn AeadKey> {
        let (current, former) = self.0.quic_token_keys();
        let of = |key: &dyn HandshakeTokenKey| key.aead_from_hkdf(random_bytes);
        Box::new(Either { current: of(&current), former: former.map(|key| of(&key)) })
    }
}

struct Either {
    current: Box<dyn AeadKey>,
    former: Option<Box<dyn AeadKey>>,
}

impl AeadKey for Either {
    fn seal(&self, data: &mut Vec<u8>, additional_data: &[u8]) -> Result<(), CryptoError> {
        self.current.seal(data, additional_data)
    }

    fn open<'a>(&self, data: &'a mut [u8], additional_data: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        let Some(former) = &self.former else { return self.current.open(data, additional_data) };
        // What cannot be opened is spoiled by the attempt.
        let mut copy = data.to_vec();
        match self.current.open(&mut copy, additional_data) {
            Ok(plain) => {
                let opened = data.get_mut(..plain.len()).ok_or(CryptoError)?;
                opened.copy_from_slice(plain);
                Ok(opened)
            }
            Err(_) => former.open(data, additional_data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_good_on_every_node_and_until_the_secret_was_replaced_twice() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let write = |byte| {
            fs::write(&path, [byte; 32]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write(1);
        let (one, two) = (TicketSecret::load(&path).unwrap(), TicketSecret::load(&path).unwrap());
        let mut sealed = b"an address".to_vec();
        TokenKey(Arc::clone(&one)).aead_from_hkdf(b"nonce").seal(&mut sealed, &[]).unwrap();
        let opens = |secret: &Arc<TicketSecret>, nonce: &[u8]| {
            let mut copy = sealed.clone();
            let opened =
                TokenKey(Arc::clone(secret)).aead_from_hkdf(nonce).open(&mut copy, &[]).map(|plain| plain.to_vec());
            opened.is_ok_and(|plain| plain == b"an address")
        };
        assert!(opens(&one, b"nonce") && opens(&two, b"nonce") && !opens(&one, b"other"));
        assert!(!opens(&TicketSecret::random().unwrap(), b"nonce"));
        write(2);
        two.reload().unwrap();
        assert!(opens(&two, b"nonce"));
        write(3);
        two.reload().unwrap();
        assert!(!opens(&two, b"nonce"));
    }
}
