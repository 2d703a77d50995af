//! The file of signing keys: read, written aside and renamed, and watched for changes.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use needledrop_core::{KeyId, Keyring, signed_url::Secret};

/// How often the file is looked at. A rotation reaches a running edge within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the keys are unless said otherwise.
pub fn default_path(data: &Path) -> PathBuf {
    data.join("keys.toml")
}

/// Reads a key file.
///
/// # Errors
/// A message that names the fix.
pub fn load(path: &Path) -> Result<Keyring, String> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("there are no keys at {}; make some: needledrop keys make --keys {0}", path.display())
        }
        _ => format!("{}: {error}", path.display()),
    })?;
    Keyring::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads a key file, or makes one with a single new key.
///
/// # Errors
/// The file is there but unusable, or cannot be written.
pub fn load_or_make(path: &Path) -> Result<Keyring, String> {
    if path.exists() {
        return load(path);
    }
    let keyring = Keyring::new(new_id(&[])?, new_secret()?);
    save(path, &keyring)?;
    Ok(keyring)
}

/// Writes a key file, readable by its owner only: aside, synced, renamed.
///
/// # Errors
/// What the file system says.
pub fn save(path: &Path, keyring: &Keyring) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)
        .and_then(|mut file| file.write_all(keyring.to_file().as_bytes()).and_then(|()| file.sync_all()));
    written.and_then(|()| std::fs::rename(&aside, path)).map_err(told)
}

/// A name for a new key: the day, and a number where the day has one already.
///
/// # Errors
/// Never in this century.
pub fn new_id(taken: &[&KeyId]) -> Result<KeyId, String> {
    let day = crate::clock::now().0 / 86_400;
    (1..=taken.len() + 1)
        .filter_map(|number| KeyId::parse(&format!("d{day}-{number}")))
        .find(|id| !taken.contains(&id))
        .ok_or_else(|| "no name is left for a key today".to_owned())
}

/// A secret from the system's randomness.
///
/// # Errors
/// The system has none.
pub fn new_secret() -> Result<Secret, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no randomness: {error}"))?;
    Ok(Secret::from_bytes(bytes))
}

/// Keeps `keys` in step with the file until dropped. A file that cannot be used leaves the
/// keys as they are and is logged once for each change.
pub async fn follow(path: PathBuf, keys: Arc<ArcSwap<Keyring>>) {
    follow_every(path, keys, LOOK_EVERY).await;
}

async fn follow_every(path: PathBuf, keys: Arc<ArcSwap<Keyring>>, every: Duration) {
    let mut seen = modified(path.clone()).await;
    loop {
        tokio::time::sleep(every).await;
        let at = modified(path.clone()).await;
        if at == seen {
            continue;
        }
        seen = at;
        let from = path.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&from)).await;
        match loaded {
            Ok(Ok(keyring)) => {
                tracing::info!(path = %path.display(), signs = %keyring.signing_id(), "keys reloaded");
                keys.store(Arc::new(keyring));
            }
            Ok(Err(error)) => tracing::error!(%error, "keys not reloaded, the former ones stay"),
            Err(error) => tracing::error!(%error, "keys not reloaded, the former ones stay"),
        }
    }
}

async fn modified(path: PathBuf) -> Option<(SystemTime, u64)> {
    let look = move || std::fs::metadata(path).and_then(|file| Ok((file.modified()?, file.len())));
    tokio::task::spawn_blocking(look).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_keys_are_read_back_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/keys.toml");
        let made = load_or_make(&path).unwrap();
        assert_eq!(load_or_make(&path).unwrap(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn missing_keys_name_the_fix() {
        let error = load(Path::new("/nowhere/keys.toml")).unwrap_err();
        assert!(error.contains("needledrop keys make"), "{error}");
    }

    #[test]
    fn a_second_key_of_a_day_gets_another_name() {
        let first = new_id(&[]).unwrap();
        let second = new_id(&[&first]).unwrap();
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_changed_file_is_taken_up_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.toml");
        let first = load_or_make(&path).unwrap();
        let keys = Arc::new(ArcSwap::from_pointee(first.clone()));
        let every = Duration::from_millis(10);
        let following = tokio::spawn(follow_every(path.clone(), keys.clone(), every));
        tokio::time::sleep(every * 5).await;
        std::fs::write(&path, "rubbish").unwrap();
        tokio::time::sleep(every * 20).await;
        assert_eq!(**keys.load(), first);
        let mut second = first.clone();
        second.add(KeyId::parse("another").unwrap(), new_secret().unwrap()).unwrap();
        save(&path, &second).unwrap();
        for _ in 0..500 {
            if **keys.load() == second {
                break;
            }
            tokio::time::sleep(every).await;
        }
        assert_eq!(**keys.load(), second);
        following.abort();
    }
}
