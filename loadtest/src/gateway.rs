//! A gateway before the run: signed in to, and its tracks read.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{
    catalog::Catalog,
    client::{Client, Get, Origin},
    ear::Page,
    measured::Protocol,
    prepare::page,
    settings::Credential,
};

/// Name and password of the demo account.
const DEMO: &str = "demo";
/// Tracks on a page: as many as a gateway gives.
const PAGE_TRACKS: usize = 50;
/// Longest file with a secret. Unit: bytes.
const SECRET_BYTES_MAX: usize = 4_096;

/// How to be somebody, for every refusal.
const FIX: &str =
    "give --user NAME and --password-file FILE, or --bearer-file FILE with a session's token or an API key";

/// What is needed of the answer to signing in.
#[derive(Deserialize)]
struct Session {
    token: String,
}

/// Signs in, reads the tracks, and learns where answers lead.
///
/// # Errors
/// A sentence that names the fix.
pub(crate) async fn prepare(
    catalog: &mut Catalog,
    credential: &Credential,
    client: &Client,
    protocol: Protocol,
) -> Result<(), String> {
    let origin = catalog.origins[0].clone();
    let token = match credential {
        Credential::Bearer(file) => secret(file)?,
        Credential::Account { user, password } => sign_in(client, &origin, user, &secret(password)?).await?,
        Credential::Demo if origin.address.ip().is_loopback() => sign_in(client, &origin, DEMO, DEMO).await?,
        Credential::Demo => {
            return Err(format!("{} is not on this machine, so that it has no demo account: {FIX}", origin.name));
        }
    };
    catalog.sign_in(&token);
    loop {
        let target = format!("/v1/tracks?limit={PAGE_TRACKS}&offset={}", catalog.entries.len());
        let tracks = ask(catalog, &origin, client, protocol, &target).await?;
        if !catalog.add_tracks(&tracks)? {
            break;
        }
    }
    let stream = ask(catalog, &origin, client, protocol, &catalog.question(0, 0)).await?;
    catalog.learn_origins(&stream)
}

async fn ask(
    catalog: &Catalog,
    origin: &Origin,
    client: &Client,
    protocol: Protocol,
    target: &str,
) -> Result<Vec<u8>, String> {
    let credential = catalog.credential();
    let get = Get { target, range: None, fields: credential.as_slice() };
    let answer = page(client, origin, protocol, &get).await;
    answer.map_err(|error| if error.contains(" says 401 ") { format!("{error}: {FIX}") } else { error })
}

/// A session of this account.
async fn sign_in(client: &Client, origin: &Origin, user: &str, password: &str) -> Result<String, String> {
    let name = &origin.name;
    let body = json!({ "user": user, "password": password, "bearer": true, "client": "needledrop-loadtest" });
    let mut page = Page { status: StatusCode::OK, body: Vec::new() };
    let posted = client.device(None).post(origin, "/v1/session", &body.to_string(), &mut page).await;
    posted.map_err(|failure| format!("{name}: signing in as {user}: {}", failure.sentence))?;
    if page.status != StatusCode::OK {
        return Err(format!("{name} says {} to signing in as {user}: {FIX}", page.status));
    }
    let said: Result<Session, _> = serde_json::from_slice(&page.body);
    said.map(|session| session.token)
        .map_err(|error| format!("{name} signs in without a token ({error}): is it a needledrop gateway?"))
}

/// What stands in a file, without the end of its line.
fn secret(file: &std::path::Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    let is_secret = !text.is_empty() && text.len() <= SECRET_BYTES_MAX && !text.contains(char::is_control);
    match is_secret {
        true => Ok(text.to_owned()),
        false => Err(format!("{}: write the secret and nothing else into it, on one line", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_secret_on_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "a good one \r\n").unwrap();
        assert_eq!(secret(&file), Ok("a good one ".to_owned()));
        for wrong in ["", "\n", "two\nlines", &"x".repeat(5_000)] {
            std::fs::write(&file, wrong).unwrap();
            assert!(secret(&file).unwrap_err().contains("on one line"), "{wrong:?}");
        }
        assert!(secret(&folder.path().join("nowhere")).is_err());
    }
}
