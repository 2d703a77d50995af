//! Shares of a right must make a whole, in each territory that has shares of its own.

use crate::model::{Right, Share, Territory, WHOLE_SHARE};
use std::collections::BTreeMap;

/// The shares of one right in one territory do not make a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotWhole {
    /// Of the recording or of the work.
    pub right: Right,
    /// Where; None for everywhere else.
    pub territory: Option<Territory>,
    /// What they sum to, in millionths.
    pub micro: u64,
}

impl std::fmt::Display for NotWhole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let right = match self.right {
            Right::Recording => "the recording",
            Right::Work => "the work",
        };
        let territory = self.territory.as_ref().map_or("every territory without shares of its own", Territory::as_str);
        write!(f, "shares in {right} for {territory} sum to {} millionths and not to {WHOLE_SHARE}", self.micro)
    }
}

/// Passes shares of which every group (one right in one territory) sums to [`WHOLE_SHARE`]; none at all is fine too.
pub fn check(shares: &[Share]) -> Result<(), NotWhole> {
    let mut sums: BTreeMap<(bool, Option<Territory>), u64> = BTreeMap::new();
    for share in shares {
        *sums.entry((share.right == Right::Work, share.territory)).or_default() += u64::from(share.micro);
    }
    match sums.into_iter().find(|(_, micro)| *micro != u64::from(WHOLE_SHARE)) {
        None => Ok(()),
        Some(((is_work, territory), micro)) => {
            Err(NotWhole { right: if is_work { Right::Work } else { Right::Recording }, territory, micro })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ArtistName;
    use needledrop_core::ArtistId;
    use proptest::prelude::*;

    fn share(right: Right, territory: &str, micro: u32) -> Share {
        let holder = ArtistName { id: ArtistId::from_digest(&[1; 32]), name: "Holder".into() };
        Share { holder, right, territory: Territory::parse(territory).ok(), micro }
    }

    #[test]
    fn each_territory_and_right_stands_for_itself() {
        let whole =
            [share(Right::Recording, "", 1_000_000), share(Right::Work, "DE", 999_999), share(Right::Work, "DE", 1)];
        assert_eq!(check(&whole), Ok(()));
        let not = check(&[share(Right::Recording, "", 500_000), share(Right::Recording, "DE", 500_000)]).unwrap_err();
        assert_eq!((not.territory, not.micro), (None, 500_000));
    }

    #[test]
    fn more_than_32_bits_is_too_much_and_not_a_whole() {
        assert!(check(&vec![share(Right::Work, "", u32::MAX); 300]).is_err());
    }

    proptest! {
        #[test]
        fn cut_wholes_pass_and_any_one_millionth_more_or_less_does_not(
            cuts in proptest::collection::vec(0..=WHOLE_SHARE, 0..6), territory in "[A-Z]{2}|", at in 0..7_usize,
        ) {
            let mut edges = cuts;
            edges.extend([0, WHOLE_SHARE]);
            edges.sort();
            let mut shares: Vec<Share> =
                edges.windows(2).map(|edge| share(Right::Work, &territory, edge[1] - edge[0])).collect();
            prop_assert_eq!(check(&shares), Ok(()));
            let at = at % shares.len();
            shares[at].micro += 1;
            prop_assert_eq!(check(&shares).unwrap_err().micro, u64::from(WHOLE_SHARE) + 1);
            shares[at].micro -= 1;
            if shares[at].micro > 0 {
                shares[at].micro -= 1;
                prop_assert!(check(&shares).is_err());
            }
        }
    }
}
