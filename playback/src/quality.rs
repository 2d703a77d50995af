//! Which bitrate somebody gets: the least of what the plan allows, the listener set, the network carries, the data
//! saver spares and the request asks for; with the reason in words.

use needledrop_core::Kbps;
use serde::{Deserialize, Serialize};

use crate::account::{Plan, Settings};

/// A bitrate somebody chose, or the choice left to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Whatever is best.
    #[default]
    Automatic,
    /// 96 kbit/s.
    Low,
    /// 160 kbit/s.
    Normal,
    /// 320 kbit/s.
    High,
}

impl Wish {
    /// Every wish.
    pub const ALL: [Wish; 4] = [Wish::Automatic, Wish::Low, Wish::Normal, Wish::High];

    /// The most that is wished for; None where it is left to us.
    pub fn cap(self) -> Option<Kbps> {
        match self {
            Wish::Automatic => None,
            Wish::Low => Some(Kbps::K96),
            Wish::Normal => Some(Kbps::K160),
            Wish::High => Some(Kbps::K320),
        }
    }

    /// The word for it in storage and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Wish::Automatic => "automatic",
            Wish::Low => "low",
            Wish::Normal => "normal",
            Wish::High => "high",
        }
    }

    /// The wish of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|wish| wish.name() == name)
    }
}

/// How much the client's network carries, as far as the client said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NetworkClass {
    /// Nothing was said: nobody is held back for that.
    #[default]
    Unknown,
    /// Carries 96 kbit/s and little else.
    Slow,
    /// Carries 160 kbit/s.
    Medium,
    /// Carries 320 kbit/s.
    Fast,
}

impl NetworkClass {
    /// Every class.
    pub const ALL: [NetworkClass; 4] =
        [NetworkClass::Unknown, NetworkClass::Slow, NetworkClass::Medium, NetworkClass::Fast];

    /// How many times the bitrate a network must carry. The player must refill its buffer after each hole faster
    /// than it empties, and its own measure of the network is off by some ten per cent.
    const HEADROOM_PERCENT: u32 = 200;

    /// The class of a measured throughput in kbit/s: CMCD `mtp`, or the hint `Downlink` in thousandths.
    pub fn of_kbps(measured: u32) -> Self {
        let carries = |kbps: Kbps| measured >= kbps.value() * Self::HEADROOM_PERCENT / 100;
        match (carries(Kbps::K320), carries(Kbps::K160)) {
            (true, _) => NetworkClass::Fast,
            (false, true) => NetworkClass::Medium,
            (false, false) => NetworkClass::Slow,
        }
    }

    /// The highest bitrate it carries; None where nothing is known.
    pub fn cap(self) -> Option<Kbps> {
        match self {
            NetworkClass::Unknown => None,
            NetworkClass::Slow => Some(Kbps::K96),
            NetworkClass::Medium => Some(Kbps::K160),
            NetworkClass::Fast => Some(Kbps::K320),
        }
    }
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the account pays for.
    pub plan: Plan,
    /// What the listener chose for always, and whether to save data.
    pub settings: Settings,
    /// What the network carries.
    pub network: NetworkClass,
    /// The request itself asks to save data (`Save-Data: on`).
    pub save_data: bool,
    /// What the request asks for.
    pub asked: Option<Kbps>,
}

/// Why it is this bitrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The request asked for it.
    Asked,
    /// The listener set it.
    Setting,
    /// Data is being saved.
    DataSaver,
    /// The network carries no more.
    Network,
    /// The plan goes no further.
    Plan,
    /// The track is not made in the bitrate that was chosen; this is the next lower one.
    Made,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 6] =
        [Reason::Asked, Reason::Setting, Reason::DataSaver, Reason::Network, Reason::Plan, Reason::Made];

    /// The stable name.
    pub fn slug(self) -> &'static str {
        match self {
            Reason::Asked => "asked",
            Reason::Setting => "setting",
            Reason::DataSaver => "data-saver",
            Reason::Network => "network",
            Reason::Plan => "plan",
            Reason::Made => "made",
        }
    }

    /// The reason in words.
    pub fn sentence(self) -> &'static str {
        match self {
            Reason::Asked => "as asked for",
            Reason::Setting => "as set in the account",
            Reason::DataSaver => "data is being saved",
            Reason::Network => "the network carries no more",
            Reason::Plan => "the best of the plan",
            Reason::Made => "the best that was made of this track",
        }
    }
}

/// The bitrate and why: the first who asks for the least in the order of [`Reason`], so that who gets what he asked
/// for hears just that, and the plan is named only where nothing else holds anybody back.
pub fn choose(facts: &Facts) -> (Kbps, Reason) {
    let saver = (facts.settings.data_saver || facts.save_data).then_some(Kbps::K96);
    let caps = [
        (facts.asked, Reason::Asked),
        (facts.settings.quality.cap(), Reason::Setting),
        (saver, Reason::DataSaver),
        (facts.network.cap(), Reason::Network),
        (Some(facts.plan.cap()), Reason::Plan),
    ];
    caps.into_iter()
        .filter_map(|(cap, reason)| Some((cap?, reason)))
        .min_by_key(|(cap, _)| *cap)
        .expect("a plan has a cap")
}

/// The best of the bitrates a track is made in that is not above the choice; None where all are above.
pub fn fit(chosen: (Kbps, Reason), made: impl Iterator<Item = Kbps>) -> Option<(Kbps, Reason)> {
    let (kbps, reason) = chosen;
    let best = made.filter(|made| *made <= kbps).max()?;
    Some(if best == kbps { (kbps, reason) } else { (best, Reason::Made) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every combination there is: 2 plans, 4 settings, 4 networks, 2 times 2 savers, 4 requests.
    fn all_facts() -> Vec<Facts> {
        let mut all = Vec::new();
        for plan in Plan::ALL {
            for quality in Wish::ALL {
                for network in NetworkClass::ALL {
                    for bits in 0..4 {
                        for asked in [None, Some(Kbps::K96), Some(Kbps::K160), Some(Kbps::K320)] {
                            let settings = Settings { quality, data_saver: bits & 1 != 0, normalise: true };
                            all.push(Facts { plan, settings, network, save_data: bits & 2 != 0, asked });
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn in_all_512_cases_it_is_the_least_and_the_reason_is_one_that_asks_for_it() {
        let cases = all_facts();
        assert_eq!(cases.len(), 512);
        for facts in cases {
            let (kbps, reason) = choose(&facts);
            let least = [
                facts.plan.cap(),
                facts.settings.quality.cap().unwrap_or(Kbps::K320),
                facts.network.cap().unwrap_or(Kbps::K320),
                if facts.settings.data_saver || facts.save_data { Kbps::K96 } else { Kbps::K320 },
                facts.asked.unwrap_or(Kbps::K320),
            ];
            assert_eq!(Some(kbps), least.into_iter().min(), "{facts:?}");
            let told = match reason {
                Reason::Asked => facts.asked == Some(kbps),
                Reason::Setting => facts.settings.quality.cap() == Some(kbps) && facts.asked != Some(kbps),
                Reason::DataSaver => kbps == Kbps::K96 && (facts.settings.data_saver || facts.save_data),
                Reason::Network => facts.network.cap() == Some(kbps),
                Reason::Plan => facts.plan.cap() == kbps,
                Reason::Made => false,
            };
            assert!(told, "{facts:?}: {reason:?}");
        }
    }

    #[test]
    fn no_wish_of_a_free_account_passes_its_plan() {
        for facts in all_facts().into_iter().filter(|facts| facts.plan == Plan::Free) {
            assert!(choose(&facts).0 <= Kbps::K160);
        }
    }

    #[test]
    fn what_is_not_made_is_replaced_by_the_next_lower_one_or_by_nothing() {
        let chosen = (Kbps::K160, Reason::Plan);
        assert_eq!(fit(chosen, Kbps::ALL.into_iter()), Some(chosen));
        assert_eq!(fit(chosen, [Kbps::K320, Kbps::K96].into_iter()), Some((Kbps::K96, Reason::Made)));
        assert_eq!(fit(chosen, [Kbps::K320].into_iter()), None);
        assert_eq!(fit(chosen, [].into_iter()), None);
    }

    #[test]
    fn a_network_carries_twice_what_it_is_given() {
        for (measured, class) in [
            (0, NetworkClass::Slow),
            (319, NetworkClass::Slow),
            (320, NetworkClass::Medium),
            (639, NetworkClass::Medium),
            (640, NetworkClass::Fast),
            (u32::MAX, NetworkClass::Fast),
        ] {
            assert_eq!(NetworkClass::of_kbps(measured), class, "{measured}");
        }
    }

    #[test]
    fn wishes_and_reasons_have_names_of_their_own() {
        for wish in Wish::ALL {
            assert_eq!(Wish::from_name(wish.name()), Some(wish));
        }
        let slugs: BTreeSet<_> = Reason::ALL.into_iter().map(Reason::slug).collect();
        assert_eq!(slugs.len(), Reason::ALL.len());
    }
}
