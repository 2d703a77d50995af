//! The way from a query to its hits: whole names first, then documents that have all words, and only if nothing fits
//! well, names with spaces in other places and documents that lack a word.
//!
//! The points a document can get at best are known from its plays and its number of words alone. Documents that cannot
//! come among the wanted are left at that, which keeps frequent words cheap; what a search may look at beyond is bounded
//! by [`JUDGED_MAX`].

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::fold::{self, WORD_CHARS_MAX};
use super::judge::{Judge, QUERY_WORDS_MAX};
use super::plan::{self, Plan, Reader};
use super::score::{self, Score};
use super::sieve::Sieve;
use super::slip::weigh;
use super::table::Table;
use super::trie::Walk;
use super::vocabulary::NumberHash;
use super::{DocId, Kind, Query};

/// How much of a query is read, in characters. The longest titles that anybody types in full are shorter.
pub const QUERY_CHARS_MAX: usize = 200;
/// How deep into the hits a caller may page, as in the Spotify Web API.
pub const DEPTH_MAX: usize = 1_000;
/// How many documents one search looks into, the likeliest first: about 5 ms.
const JUDGED_MAX: usize = 12_000;
/// What looking into a document costs when words may be missing.
const JUDGED_LOOSELY: usize = 4;
/// By how much sums of the same points may differ with their order.
const ROUNDING: f32 = 0.001;
/// How many documents with the same whole name are looked into beyond those wanted.
const NAMESAKES_MAX: usize = 20_000;
/// How many names that are near the query without its spaces are looked at.
const SQUASHED_MAX: usize = 200;

/// Something found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub id: DocId,
    /// Why here.
    pub score: Score,
}

/// How many documents match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matches {
    /// This many.
    Exactly(usize),
    /// This many were seen, and there may be more.
    AtLeast(usize),
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Best first.
    pub hits: Vec<Hit>,
    /// How many there are.
    pub matches: Matches,
}

/// Searches a table.
pub(super) fn search(table: &Table, query: &Query<'_>) -> Found {
    let end = query.text.char_indices().nth(QUERY_CHARS_MAX).map_or(query.text.len(), |(end, _)| end);
    let text = &query.text[..end];
    let mut form = fold::query(text);
    let is_prefix = query.is_prefix && !text.ends_with(char::is_whitespace) && form.words.len() <= QUERY_WORDS_MAX;
    form.words.truncate(QUERY_WORDS_MAX);
    let mut search = Search {
        table,
        query,
        written: fold::written(text),
        written_points: if fold::is_plain(text, &form) { score::WRITTEN } else { score::WRITTEN_WITH_CARE },
        wanted: query.limit.saturating_add(query.offset).min(DEPTH_MAX),
        best: HashMap::default(),
        floor: BinaryHeap::new(),
        power_max: table.power_max(query.kinds),
        kind_points: Kind::ALL
            .into_iter()
            .filter(|&kind| query.kinds.has(kind))
            .map(score::kind_points)
            .fold(f32::MIN, f32::max),
        judge: Judge::new(table),
        judged_left: JUDGED_MAX,
        is_all: true,
    };
    if !form.words.is_empty() && search.wanted > 0 {
        search.run(&form, is_prefix);
    }
    search.into_found()
}

/// A search on its way.
struct Search<'a> {
    table: &'a Table,
    query: &'a Query<'a>,
    written: u32,
    /// Points for a name that is written in the same way.
    written_points: f32,
    wanted: usize,
    best: HashMap<u32, Score, NumberHash>,
    /// The best totals, the least of them on top.
    floor: BinaryHeap<std::cmp::Reverse<Points>>,
    /// The power of two above the most plays of a wanted kind.
    power_max: u8,
    /// The most points that a wanted kind gives.
    kind_points: f32,
    judge: Judge<'a>,
    judged_left: usize,
    /// Whether every match was counted.
    is_all: bool,
}

/// Points in order.
#[derive(PartialEq)]
struct Points(f32);

impl Eq for Points {}

impl PartialOrd for Points {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Points {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Search<'_> {
    fn run(&mut self, form: &fold::Form, is_prefix: bool) {
        // One mistake in a word is looked for always. Two cost a walk twenty times as long, and are looked for where one
        // did not explain what was typed.
        let reader = &mut Reader::new(self.table, self.query.kinds);
        let mut base = Plan::new(reader, &form.words, is_prefix, false, 1);
        self.whole_names(&form.squashed, &base);
        self.follow(&base, 0);
        for words in plan::joins(self.table, &form.words, is_prefix) {
            self.follow(&Plan::new(reader, &words, is_prefix, true, 1), 0);
        }
        if self.best.values().any(|score| score.missing == 0 && score.edits == 0 && !score.joined) {
            return;
        }
        if !self.best.values().any(|score| score.missing == 0 && !score.joined) {
            base = Plan::new(reader, &form.words, is_prefix, false, 2);
            self.follow(&base, 0);
        }
        self.respaced_names(&form.squashed, &base, is_prefix);
        for words in plan::splits(self.table, &form.words, is_prefix) {
            if words.len() <= QUERY_WORDS_MAX {
                self.follow(&Plan::new(reader, &words, is_prefix, true, 1), 0);
            }
        }
        if !self.best.values().any(|score| score.missing == 0) && base.typed.len() > 1 {
            self.follow(&base, if base.typed.len() > 3 { 2 } else { 1 });
        }
    }

    /// Documents whose whole name was typed.
    fn whole_names(&mut self, squashed: &str, base: &Plan) {
        let wanted = |slot: &&u32| self.query.kinds.has(self.table.head(**slot).kind);
        for (seen, &slot) in self.table.named(squashed).iter().filter(wanted).enumerate() {
            if seen > NAMESAKES_MAX {
                self.is_all = false;
                return;
            }
            let best = score::WHOLE_NAME + self.written_points + self.table.head(slot).points;
            if best < self.least() {
                self.is_all = false;
                continue;
            }
            let judged = self.judge.judge(base, slot, base.typed.len());
            let as_typed = judged.filter(|judged| usize::from(judged.exact) == base.typed.len() && judged.extra == 0);
            let mut score = as_typed.unwrap_or_else(|| {
                let popularity = self.table.head(slot).points;
                let total = popularity - score::WHOLE_NAME_NEARLY;
                Score { words: base.typed.len() as u8, joined: true, popularity, total, ..Score::default() }
            });
            score.whole_name = true;
            score.total += score::WHOLE_NAME;
            if self.table.doc(slot).written == self.written {
                score.total += self.written_points;
            }
            self.take(slot, score);
        }
    }

    /// Names that are near the query when nobody looks at spaces.
    fn respaced_names(&mut self, squashed: &str, base: &Plan, is_prefix: bool) {
        let typed: Vec<char> = squashed.chars().take(WORD_CHARS_MAX).collect();
        let mistakes = match typed.len() {
            0..=3 => return,
            4..=7 => 1,
            8..=13 => 2,
            _ => 3,
        };
        let walk = Walk { typed: &typed, mistakes, is_prefix, words_max: SQUASHED_MAX };
        for found in self.table.squashed.walk(&walk).0 {
            let name = self.table.squashed.word(found.word);
            let chars: Vec<char> = name.text.chars().collect();
            let slips = match (found.mistakes, is_prefix) {
                (0, _) => 0.0,
                (_, true) => weigh(&typed, &chars).begun,
                (_, false) => weigh(&typed, &chars).whole,
            };
            let unfinished = if is_prefix { name.chars.saturating_sub(typed.len() as u8) } else { 0 };
            let lost = slips * score::SLIP + score::unfinished_points(unfinished) + score::JOINED;
            for slot in name.posts.slots(self.query.kinds) {
                if !self.may_come_in(slot, lost, base.typed.len()) || !self.spend(1) {
                    continue;
                }
                let popularity = self.table.head(slot).points;
                self.take(
                    slot,
                    Score {
                        total: popularity - lost,
                        words: base.typed.len() as u8,
                        edits: found.mistakes,
                        slips,
                        unfinished,
                        joined: true,
                        popularity,
                        ..Score::default()
                    },
                );
            }
        }
    }

    /// Documents with the words of a reading; `missing_max` of these may be absent.
    fn follow(&mut self, plan: &Plan, missing_max: usize) {
        let mut order: Vec<usize> = (0..plan.typed.len()).filter(|&at| !plan.typed[at].is_little).collect();
        if order.is_empty() {
            order = (0..plan.typed.len()).collect();
        }
        order.sort_by_key(|&at| (plan.typed[at].is_open, plan.typed[at].volume));
        if missing_max == 0 && plan.typed.iter().any(|typed| typed.is_nowhere()) {
            return;
        }
        let sieve = &Sieve::new(self.table, plan, missing_max);
        let joined = if plan.is_joined { score::JOINED } else { 0.0 };
        // Whoever lacks no more than `missing_max` words has at least one of any `missing_max + 1`.
        for &at in order.iter().take(missing_max + 1) {
            let typed = &plan.typed[at];
            let mut lost = joined;
            if missing_max == 0 {
                lost += plan.typed.iter().map(|typed| typed.cost_min()).sum::<f32>() - typed.cost_min();
            }
            for real in &typed.real {
                if self.is_below(self.power_max, real.cost + lost) {
                    break;
                }
                self.look_under(plan, sieve, real.word, real.cost + lost);
            }
            // Who has nothing but the first letters of a word is not meant where another word is there.
            if typed.is_open
                && (missing_max == 0 || plan.typed.iter().all(|typed| typed.real.is_empty() || typed.is_open))
            {
                self.look_by_plays(plan, sieve, lost);
            }
        }
    }

    /// The documents of a word that lose so many points, the most played first.
    fn look_under(&mut self, plan: &Plan, sieve: &Sieve, word: u32, lost: f32) {
        for (power, slots) in self.table.words.word(word).posts.tiers(self.query.kinds) {
            if self.judged_left == 0 || self.is_below(power, lost) {
                self.is_all = false;
                return;
            }
            slots.iter().for_each(|&slot| self.look(plan, sieve, slot, lost));
        }
    }

    /// Documents in the order of plays, for beginnings that so many words have that a few of the first documents do.
    fn look_by_plays(&mut self, plan: &Plan, sieve: &Sieve, lost: f32) {
        for (power, slots) in self.table.by_plays(self.query.kinds) {
            if self.judged_left == 0 || self.is_below(power, lost) {
                self.is_all = false;
                return;
            }
            slots.iter().for_each(|&slot| self.look(plan, sieve, slot, lost));
        }
    }

    /// Whether documents with plays below a power of two that lose so many points cannot come in.
    fn is_below(&mut self, power: u8, lost: f32) -> bool {
        let is_below = score::popularity_below(power) + self.kind_points - lost < self.least() - ROUNDING;
        self.is_all &= !is_below;
        is_below
    }

    fn look(&mut self, plan: &Plan, sieve: &Sieve, slot: u32, cost: f32) {
        if !sieve.passes(slot) || !self.may_come_in(slot, cost, plan.typed.len()) || self.is_whole(slot) {
            return;
        }
        if !self.spend(if sieve.missing_max == 0 { 1 } else { JUDGED_LOOSELY }) {
            return;
        }
        if let Some(score) = self.judge.judge(plan, slot, sieve.missing_max) {
            self.take(slot, score);
        }
    }

    /// Whether a document is wanted and may have enough points.
    fn may_come_in(&mut self, slot: u32, cost: f32, typed: usize) -> bool {
        let head = self.table.head(slot);
        if !self.query.kinds.has(head.kind) {
            return false;
        }
        let extra = usize::from(head.words_min).saturating_sub(typed);
        let may = head.points - cost - score::extra_points(extra) >= self.least() - ROUNDING;
        self.is_all &= may;
        may
    }

    fn is_whole(&self, slot: u32) -> bool {
        self.best.get(&slot).is_some_and(|score| score.whole_name)
    }

    fn spend(&mut self, judged: usize) -> bool {
        let left = self.judged_left.checked_sub(judged);
        self.judged_left = left.unwrap_or(0);
        self.is_all &= left.is_some();
        left.is_some()
    }

    /// The points of the last of the wanted.
    fn least(&self) -> f32 {
        if self.floor.len() < self.wanted { f32::MIN } else { self.floor.peek().map_or(f32::MIN, |points| points.0.0) }
    }

    fn take(&mut self, slot: u32, score: Score) {
        match self.best.entry(slot) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                if known.get().total < score.total {
                    known.insert(score);
                }
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(score);
                self.floor.push(std::cmp::Reverse(Points(score.total)));
                if self.floor.len() > self.wanted {
                    self.floor.pop();
                }
            }
        }
    }

    fn into_found(self) -> Found {
        let count = self.best.len();
        let matches = if self.is_all { Matches::Exactly(count) } else { Matches::AtLeast(count) };
        let least = self.least();
        let mut best: Vec<(u32, Score)> = self.best.into_iter().filter(|(_, score)| score.total >= least).collect();
        let plays = |slot: u32| self.table.doc(slot).plays;
        best.sort_by(|(a, score_a), (b, score_b)| {
            let by_points = score_b.total.total_cmp(&score_a.total);
            by_points
                .then_with(|| plays(*b).cmp(&plays(*a)))
                .then_with(|| self.table.doc(*a).id.cmp(&self.table.doc(*b).id))
        });
        let hits = best.into_iter().take(self.wanted).skip(self.query.offset).map(|(slot, score)| Hit {
            kind: self.table.head(slot).kind,
            id: self.table.doc(slot).id,
            score,
        });
        Found { hits: hits.collect(), matches }
    }
}
