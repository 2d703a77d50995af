//! The devices of an account: what it plays on, and when it was last seen there.

use std::collections::BTreeMap;

use needledrop_core::{AccountId, UnixSeconds};

use crate::account::DisplayName;

/// Most devices of an account. Who has more is seldom asked which; the least recently seen one goes.
pub const DEVICES_MAX: usize = 50;

/// How often a device is written down again, in seconds.
pub const SEEN_WRITTEN_EVERY_SECONDS: u64 = 60;

/// Something that plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What the listener calls it; the identity within the account.
    pub name: DisplayName,
    /// The program on it.
    pub client: DisplayName,
    /// When it last asked for something.
    pub seen: UnixSeconds,
}

/// Devices of several accounts that were seen, each by its account and name.
pub type Sightings = BTreeMap<(AccountId, DisplayName), Device>;

/// What storage must do about a device that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Write this one, replacing the one of that name.
    pub write: Device,
    /// Forget these.
    pub forget: Vec<DisplayName>,
}

/// A device was seen; None if that is no news.
pub fn seen(known: &[Device], device: Device) -> Option<Change> {
    let same = known.iter().find(|known| known.name == device.name);
    let is_stale = |known: &Device| device.seen.since(known.seen) >= SEEN_WRITTEN_EVERY_SECONDS;
    if same.is_some_and(|known| known.client == device.client && !is_stale(known)) {
        return None;
    }
    let mut others: Vec<_> = known.iter().filter(|known| known.name != device.name).collect();
    others.sort_by(|a, b| b.seen.cmp(&a.seen).then_with(|| a.name.cmp(&b.name)));
    let forget = others.into_iter().skip(DEVICES_MAX - 1).map(|device| device.name.clone()).collect();
    // A clock that went back must not make a device look older than it is.
    let write = Device { seen: same.map_or(device.seen, |known| known.seen.max(device.seen)), ..device };
    Some(Change { write, forget })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn device(name: &str, client: &str, at: u64) -> Device {
        let text = |text| DisplayName::parse(text).unwrap();
        Device { name: text(name), client: text(client), seen: UnixSeconds(at) }
    }

    fn apply(devices: &mut Vec<Device>, change: Change) {
        devices.retain(|known| known.name != change.write.name && !change.forget.contains(&known.name));
        devices.push(change.write);
    }

    #[test]
    fn a_device_is_written_when_it_is_new_changed_or_a_minute_old() {
        let known = [device("phone", "app 1", 100)];
        assert!(seen(&known, device("car", "app 1", 100)).is_some());
        assert!(seen(&known, device("phone", "app 2", 100)).is_some());
        assert_eq!(seen(&known, device("phone", "app 1", 159)), None);
        assert_eq!(seen(&known, device("phone", "app 1", 160)).unwrap().write.seen, UnixSeconds(160));
        assert_eq!(seen(&known, device("phone", "app 2", 1)).unwrap().write.seen, UnixSeconds(100));
    }

    #[test]
    fn the_least_recently_seen_one_goes() {
        let known: Vec<_> = (0..DEVICES_MAX).map(|n| device(&format!("d{n}"), "c", 1_000 - n as u64)).collect();
        let change = seen(&known, device("new", "c", 2_000)).unwrap();
        assert_eq!(change.forget, [DisplayName::parse("d49").unwrap()]);
        assert!(seen(&known, device("d49", "c", 2_000)).unwrap().forget.is_empty(), "it is there already");
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_the_bound_and_the_newest_stays(
            sightings in prop::collection::vec((0u8..120, 0u64..10_000), 1..300),
        ) {
            let mut devices = Vec::new();
            for (name, at) in sightings {
                let said = device(&format!("d{name}"), "c", at);
                if let Some(change) = seen(&devices, said.clone()) {
                    apply(&mut devices, change);
                }
                prop_assert!(devices.len() <= DEVICES_MAX);
                prop_assert!(devices.iter().any(|known| known.name == said.name));
            }
        }
    }
}
