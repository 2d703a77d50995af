//! Before the run: lists read, gateways signed in to and asked, objects fetched to compare with.

use std::{collections::HashMap, path::Path, sync::Arc};

use http::StatusCode;

use crate::{
    catalog::Catalog,
    client::{Client, Failure, Get, Origin, Wish},
    ear::Page,
    gateway,
    measured::Protocol,
    settings::{Settings, Source},
    verify::{Against, Book, KEPT_BYTES_MAX, sha256},
};

/// Reads what a run is about. Blocks; uses the network as it is, without an emulated link.
///
/// # Errors
/// A sentence that names the fix.
pub fn catalog_and_book(settings: &Settings, client: &Client) -> Result<(Catalog, Book), String> {
    let mut catalog = Catalog::open(&settings.source)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let protocol = settings.protocols.kinds().next().unwrap_or(Protocol::H1);
    if let Source::Gateway { credential, .. } = &settings.source {
        runtime.block_on(gateway::prepare(&mut catalog, credential, client, protocol))?;
    }
    let book = match &settings.against {
        Against::Nothing => Book::Shut,
        Against::Generator => Book::Generated,
        _ if catalog.asks() => {
            return Err("a gateway's objects can be compared with --verify generator only".to_owned());
        }
        Against::Folder(folder) => from_folder(folder, &catalog)?,
        Against::Fetched => runtime.block_on(fetched(&catalog, client, protocol))?,
    };
    Ok((catalog, book))
}

fn from_folder(folder: &Path, catalog: &Catalog) -> Result<Book, String> {
    let book = Book::from_folder(folder, paths(catalog).into_iter())?;
    if let Book::Known(objects) = &book {
        for (at, path) in paths(catalog).into_iter().enumerate() {
            compare(catalog, at, &objects[&path])?;
        }
    }
    Ok(book)
}

fn paths(catalog: &Catalog) -> Vec<String> {
    let path = |target: &str| target.split('?').next().unwrap_or_default().to_owned();
    catalog.entries.iter().map(|entry| path(&entry.target)).collect()
}

async fn fetched(catalog: &Catalog, client: &Client, protocol: Protocol) -> Result<Book, String> {
    let mut objects: HashMap<String, Arc<[u8]>> = HashMap::new();
    let mut kept = 0;
    for at in 0..catalog.entries.len() {
        let place = catalog.place(at, at);
        let get = Get { target: &place.target, range: None, fields: &[] };
        let body = page(client, &place.origin, protocol, &get).await?;
        compare(catalog, at, &body)?;
        kept += body.len() as u64;
        if kept > KEPT_BYTES_MAX {
            return Err(format!("the objects are more than {} GiB to compare with: list fewer", KEPT_BYTES_MAX >> 30));
        }
        objects.insert(place.path().to_owned(), body.into());
    }
    Ok(Book::Known(objects))
}

fn compare(catalog: &Catalog, at: usize, body: &[u8]) -> Result<(), String> {
    match &catalog.entries[at].sha256 {
        Some(digest) if *digest != sha256(body) => {
            Err(format!("{}: its SHA-256 is {}, the list says {digest}", catalog.entries[at].target, sha256(body)))
        }
        _ => Ok(()),
    }
}

/// The whole of an answer.
pub(crate) async fn page(
    client: &Client,
    origin: &Origin,
    protocol: Protocol,
    get: &Get<'_>,
) -> Result<Vec<u8>, String> {
    let told = |failure: Failure| format!("{}: {}", origin.name, failure.sentence);
    let device = client.device(None);
    let mut connection = device.open(origin, protocol, Wish::Full).await.map_err(told)?;
    let mut page = Page { status: StatusCode::OK, body: Vec::new() };
    let answer = connection.get(get, &mut page).await.map_err(told)?;
    if page.status != StatusCode::OK {
        return Err(format!("{} says {} to {}", origin.name, page.status, get.target));
    }
    if answer.left {
        Err(format!("{}{} is longer than {} bytes", origin.name, get.target, page.body.len()))
    } else {
        Ok(page.body)
    }
}
