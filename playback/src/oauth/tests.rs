use super::*;
use crate::scope::Scope;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn uri(text: &str) -> RedirectUri {
    RedirectUri::parse(text).unwrap()
}

fn client(secret: Option<Digest>, redirects: &[&str]) -> Client {
    Client {
        id: ClientId::from_random([1; 16]),
        account: AccountId::from_random([2; 16]),
        name: DisplayName::parse("An app").unwrap(),
        secret,
        redirects: redirects.iter().map(|text| uri(text)).collect(),
        created: NOW,
    }
}

#[test]
fn codes_go_to_https_to_this_machine_or_to_a_programs_own_scheme() {
    for text in [
        "https://app.example/callback",
        "https://app.example:8443/cb?a=b",
        "http://127.0.0.1:8888/callback",
        "http://[::1]/cb",
        "http://localhost:1/",
        "com.example.app:/oauth",
    ] {
        assert_eq!(uri(text).as_str(), text);
    }
    for text in ["http://app.example/cb", "http://127.0.0.1.evil.example/cb", "http://localhost.evil.example/"] {
        assert_eq!(RedirectUri::parse(text), Err(RedirectRefusal::Clear), "{text}");
    }
    for text in ["javascript:alert(1)", "data:text/html,x", "myapp://cb"] {
        assert_eq!(RedirectUri::parse(text), Err(RedirectRefusal::Scheme), "{text}");
    }
    let long = format!("https://a.example/{}", "x".repeat(REDIRECT_BYTES_MAX));
    for text in [
        "",
        "/cb",
        "https://",
        "https://a@b.example/",
        "https://a.example/#x",
        "https://a.example/ x",
        "https:/a.example",
        "https://a.example:port/",
        "https://a.example\\@b.example/",
        "https://a.example/\n",
        &long,
    ] {
        assert_eq!(RedirectUri::parse(text), Err(RedirectRefusal::Text), "{text}");
    }
}

#[test]
fn an_address_is_compared_byte_by_byte_but_for_the_port_on_this_machine() {
    let (site, here) = (uri("https://app.example/cb"), uri("http://127.0.0.1/cb"));
    assert!(site.admits(&site));
    for other in
        ["https://app.example/cb/", "https://app.example/CB", "https://app.example:443/cb", "https://app.example/cb?x"]
    {
        assert!(!site.admits(&uri(other)), "{other}");
    }
    assert!(here.admits(&uri("http://127.0.0.1:53211/cb")) && uri("http://127.0.0.1:1/cb").admits(&here));
    for other in
        ["http://127.0.0.1:53211/cb2", "http://localhost:53211/cb", "https://127.0.0.1/cb", "http://127.0.0.2/cb"]
    {
        assert!(!here.admits(&uri(other)), "{other}");
    }
    let two = client(None, &["https://app.example/cb", "http://127.0.0.1/cb"]);
    assert_eq!(two.redirect(None), Err(Refusal::REDIRECT));
    assert_eq!(two.redirect(Some("https://evil.example/cb")), Err(Refusal::REDIRECT));
    assert_eq!(two.redirect(Some("http://127.0.0.1:9/cb")).unwrap().as_str(), "http://127.0.0.1:9/cb");
    assert_eq!(client(None, &["https://app.example/cb"]).redirect(None), Ok(site.clone()));
    assert_eq!(site.with([("code", "a b&c"), ("state", "Λ")]), "https://app.example/cb?code=a%20b%26c&state=%CE%9B");
    assert_eq!(uri("https://a.example/?x=1").with([("code", "1")]), "https://a.example/?x=1&code=1");
    assert_eq!((site.place(), uri("com.example.app:/x").place()), ("app.example", "com.example.app"));
}

/// The example of RFC 7636, appendix B.
#[test]
fn a_verifier_meets_its_challenge() {
    let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", Some("S256")).unwrap();
    assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
    assert!(!challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl"));
    assert!(!challenge.is_met_by("") && !challenge.is_met_by(&"a".repeat(42)));
    for method in [None, Some("plain"), Some("s256")] {
        assert_eq!(Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", method), Err(Refusal::CHALLENGE));
    }
    assert_eq!(Challenge::parse("short", Some("S256")), Err(Refusal::CHALLENGE));
}

#[test]
fn a_program_without_a_secret_must_use_pkce_and_gets_no_administrators_rights() {
    let redirect = uri("https://app.example/cb");
    let (public, private) = (client(None, &[]), client(Some(Digest::from_bytes([1; 32])), &[]));
    let read = |client: &Client, asked| Wish::read(client.clone(), redirect.clone(), true, asked);
    let code = Asked { response_type: Some("code"), ..Asked::default() };
    assert_eq!(read(&public, code), Err(Refusal::CHALLENGE));
    assert!(read(&private, code).is_ok());
    assert_eq!(read(&private, Asked { response_type: Some("token"), ..code }), Err(Refusal::RESPONSE_TYPE));
    let wide = Asked { scope: Some("streaming admin account user-read-private"), ..code };
    let scopes = read(&private, wide).unwrap().scopes;
    assert!(scopes.allow(Scope::Streaming) && !scopes.allow(Scope::Admin) && !scopes.allow(Scope::Account));
    assert_eq!(read(&private, Asked { scope: Some("admin nonsense"), ..code }), Err(Refusal::SCOPE));
}

#[test]
fn a_code_is_exchanged_by_who_asked_for_it_once_and_in_time() {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", Some("S256")).unwrap();
    let id = ClientId::from_random([1; 16]);
    let code = Code {
        digest: Digest::from_bytes([0; 32]),
        client: id,
        account: AccountId::from_random([2; 16]),
        redirect: Some("https://app.example/cb".into()),
        scopes: Scopes::default(),
        challenge: Some(challenge),
        expires: NOW.plus(CODE_SECONDS),
        family: None,
    };
    let there = Some("https://app.example/cb");
    assert_eq!(code.admits(id, there, Some(verifier), NOW), Ok(()));
    assert_eq!(code.admits(ClientId::from_random([9; 16]), there, Some(verifier), NOW), Err(Refusal::GRANT));
    assert_eq!(code.admits(id, None, Some(verifier), NOW), Err(Refusal::GRANT));
    assert_eq!(code.admits(id, there, None, NOW), Err(Refusal::VERIFIER));
    assert_eq!(code.admits(id, there, Some(verifier), NOW.plus(CODE_SECONDS)), Err(Refusal::GRANT));
    let used = Code { family: Some(TokenId::from_random([1; 16])), ..code.clone() };
    assert_eq!(used.admits(id, there, Some(verifier), NOW), Err(Refusal::GRANT));
    let without = Code { challenge: None, ..code };
    assert_eq!(without.admits(id, there, Some(verifier), NOW), Err(Refusal::VERIFIER), "PKCE was taken away");
}
