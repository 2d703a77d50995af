//! Sessions are resumed on any node that has the secret, and by nobody else.

mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use needledrop_http::{KeyExchange, TicketError, TicketSecret};
use rustls::HandshakeKind::{self, Full, Resumed};
use rustls::{ClientConfig, NamedGroup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{World, client_tls, tls_stream};

fn secret_file(dir: &Path, name: &str, bytes: &[u8], mode: u32) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

/// A node of the cluster: doors of their own, the first node's certificates, and a secret that was read anew.
fn node(first: &World, secret: &Path) -> (World, Arc<TicketSecret>) {
    let secret = TicketSecret::load(secret).unwrap();
    let world = World::open_with(|config, _| {
        config.certificates = Some(Arc::clone(&first.certificates));
        config.ticket_secret = Some(Arc::clone(&secret));
    });
    (world, secret)
}

/// One request on a connection of its own; whether the session was resumed, and in what group keys were agreed on.
async fn visit(world: &World, client: &ClientConfig) -> (HandshakeKind, Option<NamedGroup>) {
    let mut stream = tls_stream(world.tls, client.clone()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    let session = stream.get_ref().1;
    (session.handshake_kind().unwrap(), session.negotiated_key_exchange_group().map(|group| group.name()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_resumed_on_another_node_of_the_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "secret", &[7; 32], 0o600);
    let foreign = secret_file(dir.path(), "foreign", &[9; 48], 0o400);
    let world = World::open();
    let (one, _) = node(&world, &path);
    let (two, _) = node(&world, &path);
    let (stranger, _) = node(&world, &foreign);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let client = client(&world, versions);
        assert_eq!(visit(&one, &client).await.0, Full);
        assert_eq!(visit(&two, &client).await.0, Resumed);
        assert_eq!(visit(&one, &client).await.0, Resumed);
        assert_eq!(visit(&stranger, &client).await.0, Full, "a ticket that nobody can read is no reason to fail");
    }
    // Without a secret tickets are this process's own.
    let client = client(&world, &[&rustls::version::TLS13]);
    assert_eq!(visit(&world, &client).await.0, Full);
    assert_eq!(visit(&world, &client).await.0, Resumed);
    assert_eq!(visit(&one, &client).await.0, Full);
}

fn client(world: &World, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(&world.certs.ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(roots).with_no_client_auth()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_secret_still_reads_the_tickets_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "secret", &[1; 32], 0o600);
    let world = World::open();
    let (node, secret) = node(&world, &path);
    let client = client_tls(&world.certs.ca, None, "http/1.1");
    assert_eq!(visit(&node, &client).await.0, Full);
    for bytes in [[2; 32], [2; 32], [3; 32]] {
        fs::write(&path, bytes).unwrap();
        secret.reload().unwrap();
        assert_eq!(visit(&node, &client).await.0, Resumed);
    }
    // A file that is no secret any more changes nothing.
    fs::write(&path, "short").unwrap();
    assert!(secret.reload().is_err());
    assert_eq!(visit(&node, &client).await.0, Resumed);
    for bytes in [[4; 32], [5; 32]] {
        fs::write(&path, bytes).unwrap();
        secret.reload().unwrap();
    }
    assert_eq!(visit(&node, &client).await.0, Full, "two secrets ago");
}

#[test]
fn a_secret_is_long_enough_and_nobody_elses() {
    let dir = tempfile::tempdir().unwrap();
    let load = |bytes: &[u8], mode| TicketSecret::load(&secret_file(dir.path(), "secret", bytes, mode));
    assert!(matches!(load(&[7; 32], 0o640), Err(TicketError::Open { mode: 0o640, .. })));
    assert!(matches!(load(&[7; 31], 0o600), Err(TicketError::Size { bytes: 31, .. })));
    assert!(matches!(load(&[7; 5000], 0o600), Err(TicketError::Size { .. })));
    assert!(matches!(TicketSecret::load(&dir.path().join("none")), Err(TicketError::Unreadable { .. })));
    assert!(load(&[7; 32], 0o600).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn post_quantum_key_exchange_is_a_switch_and_the_client_decides() {
    let groups = rustls::crypto::aws_lc_rs::kx_group::X25519MLKEM768;
    for (key_exchange, wished_first, got) in [
        (KeyExchange::Hybrid, true, NamedGroup::X25519MLKEM768),
        (KeyExchange::Hybrid, false, NamedGroup::X25519),
        (KeyExchange::Classical, true, NamedGroup::X25519),
    ] {
        let world = World::open_with(|config, _| config.key_exchange = key_exchange);
        let mut client = client_tls(&world.certs.ca, None, "http/1.1");
        if wished_first {
            let mut provider = rustls::crypto::aws_lc_rs::default_provider();
            provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
            provider.kx_groups.insert(0, groups);
            client = provider_of(&world, provider);
        }
        let (kind, group) = visit(&world, &client).await;
        assert_eq!(
            (kind, group),
            (Full, Some(got)),
            "{key_exchange:?}; FullWithHelloRetryRequest is a round trip more"
        );
    }
}

fn provider_of(world: &World, provider: rustls::crypto::CryptoProvider) -> ClientConfig {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(&world.certs.ca).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
}
