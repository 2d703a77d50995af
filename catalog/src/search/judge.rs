//! The score of one document for one reading of a query.

use super::plan::{Meaning, Plan};
use super::score::{self, Score};
use super::slip::weigh;
use super::table::{FormCells, Table};
use super::vocabulary::Beginning;

/// How many typed words a query may have; more are not looked at. Names have fewer, and a title with its performers
/// rarely more.
pub(super) const QUERY_WORDS_MAX: usize = 12;
/// How many pairs of a typed and a real word are weighed against each other.
const PAIRS_MAX: usize = 64;
/// Slips per letter up to which a word that stands nowhere near in the vocabulary is still taken for a typed one.
const SALVAGE: f32 = 0.4;

/// Where a typed word was found.
#[derive(Clone, Copy)]
enum At {
    Nowhere,
    By,
    Name(usize),
}

/// A typed word and a real one that may be meant.
#[derive(Clone, Copy)]
struct Pair {
    typed: u8,
    at: u8,
    edits: u8,
    unfinished: u8,
    slips: f32,
}

impl Pair {
    fn cost(&self) -> f32 {
        self.slips * score::SLIP + score::unfinished_points(self.unfinished)
    }
}

/// Judges documents, one after the other.
pub(super) struct Judge<'a> {
    table: &'a Table,
    /// Pairs with words of the performers.
    by: Vec<Pair>,
    /// Pairs with words of a form of the name.
    name: Vec<Pair>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(table: &'a Table) -> Self {
        Self { table, by: Vec::with_capacity(PAIRS_MAX), name: Vec::with_capacity(PAIRS_MAX) }
    }

    /// The best score over the forms of the name; None if more words are missing than allowed.
    pub(super) fn judge(&mut self, plan: &Plan, slot: u32, missing_max: usize) -> Option<Score> {
        let doc = self.table.doc(slot);
        let points = self.table.head(slot).points;
        let in_by = pairs_of(self.table, plan, doc.by(), &mut self.by);
        let mut best: Option<Score> = None;
        for form in doc.forms() {
            let in_name = pairs_of(self.table, plan, form.words, &mut self.name);
            if (plan.needed & !(in_by | in_name)).count_ones() as usize > missing_max {
                continue;
            }
            let Some(mut score) = judge_form(self.table, plan, &form, &self.name, &self.by, missing_max) else {
                continue;
            };
            score.popularity = points;
            score.total += points;
            if best.is_none_or(|best| best.total < score.total) {
                best = Some(score);
            }
        }
        best
    }
}

/// All pairs of typed words and these; gives the typed words that are in a pair, as bits.
fn pairs_of(table: &Table, plan: &Plan, words: &[u32], pairs: &mut Vec<Pair>) -> u32 {
    pairs.clear();
    let open = plan.typed.last().filter(|typed| typed.is_open).map(|typed| (typed, Beginning::new(&typed.text)));
    let mut found = 0;
    for (at, &word) in words.iter().enumerate() {
        for &Meaning { typed, edits, unfinished, slips, .. } in plan.meanings(word) {
            if pairs.len() < PAIRS_MAX {
                pairs.push(Pair { typed, at: at as u8, edits, unfinished, slips });
                found |= 1 << typed;
            }
        }
        let Some((open, beginning)) = &open else { continue };
        if table.words.begins_with(word, beginning) && pairs.len() < PAIRS_MAX {
            let unfinished = table.words.word(word).chars.saturating_sub(open.chars.len() as u8);
            let typed = (plan.typed.len() - 1) as u8;
            pairs.push(Pair { typed, at: at as u8, edits: 0, unfinished, slips: 0.0 });
            found |= 1 << typed;
        }
    }
    found
}

fn judge_form(
    table: &Table,
    plan: &Plan,
    form: &FormCells<'_>,
    pairs: &[Pair],
    by: &[Pair],
    missing_max: usize,
) -> Option<Score> {
    let mut used = 0_u64;
    let mut places = [At::Nowhere; QUERY_WORDS_MAX];
    let mut score = Score { words: plan.typed.len() as u8, joined: plan.is_joined, ..Score::default() };
    let mut missing = 0;
    let mut expected = 0;
    for (typed, place) in places.iter_mut().enumerate().take(plan.typed.len()) {
        let distance = |pair: &&Pair| pair.cost() + 0.01 * f32::from(pair.at.abs_diff(expected));
        let in_name = pairs
            .iter()
            .filter(|pair| usize::from(pair.typed) == typed && used & 1 << pair.at == 0)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let in_by =
            by.iter().filter(|pair| usize::from(pair.typed) == typed).min_by(|a, b| a.cost().total_cmp(&b.cost()));
        let pair = match (in_name, in_by) {
            (Some(name), Some(by)) if by.cost() + score::BY < name.cost() => (by, At::By),
            (Some(name), _) => (name, At::Name(name.at.into())),
            (None, Some(by)) => (by, At::By),
            (None, None) => {
                missing += usize::from(!plan.typed[typed].is_little);
                if missing > missing_max {
                    return None;
                }
                continue;
            }
        };
        *place = pair.1;
        if let At::Name(at) = pair.1 {
            used |= 1 << at;
            expected = at as u8 + 1;
        } else {
            score.by += 1;
        }
        note(&mut score, pair.0);
    }
    if missing > 0 {
        salvage(table, plan, form, &mut places, &mut used, &mut score);
    }
    settle(plan, form, &places, used, &mut score);
    (usize::from(score.missing) < plan.typed.len()).then_some(score)
}

fn note(score: &mut Score, pair: &Pair) {
    score.edits += pair.edits;
    score.slips += pair.slips;
    score.unfinished += pair.unfinished;
    score.exact += u8::from(pair.edits == 0 && pair.unfinished == 0);
}

/// Takes words that were not found for those of the name that nobody typed, where they are somewhat alike.
fn salvage(table: &Table, plan: &Plan, form: &FormCells<'_>, places: &mut [At], used: &mut u64, score: &mut Score) {
    for (typed, place) in plan.typed.iter().zip(places) {
        if !matches!(place, At::Nowhere) || typed.chars.len() < 4 {
            continue;
        }
        let unused = form.words.iter().enumerate().filter(|(at, _)| *used & 1 << at == 0);
        let mut best: Option<(usize, f32, u8)> = None;
        for (at, &word) in unused {
            let real = table.words.word(word);
            if usize::from(real.chars).abs_diff(typed.chars.len()) > 3 {
                continue;
            }
            let chars: Vec<char> = real.text.chars().collect();
            let slips = weigh(&typed.chars, &chars).whole;
            if slips <= typed.chars.len() as f32 * SALVAGE && best.is_none_or(|(_, least, _)| slips < least) {
                best = Some((at, slips, slips.ceil() as u8));
            }
        }
        if let Some((at, slips, edits)) = best {
            *place = At::Name(at);
            *used |= 1 << at;
            score.slips += slips;
            score.edits += edits;
        }
    }
}

/// Counts up what was found where.
fn settle(plan: &Plan, form: &FormCells<'_>, places: &[At], used: u64, score: &mut Score) {
    let mut lost = score.slips * score::SLIP
        + score::unfinished_points(score.unfinished)
        + f32::from(score.by) * score::BY
        + if score.joined { score::JOINED } else { 0.0 };
    let (mut first, mut last) = (None, None);
    for (typed, place) in plan.typed.iter().zip(places) {
        match *place {
            At::Nowhere => {
                score.missing += 1;
                lost += if typed.is_little { score::MISSING_LITTLE } else { score::MISSING };
            }
            At::By => {}
            At::Name(at) => {
                first = first.or(Some(at));
                score.reordered |= last.is_some_and(|last| at < last);
                last = Some(at);
            }
        }
    }
    let main = (1_u64 << form.main.min(63)) - 1;
    score.extra = (main & !used).count_ones() as u8;
    lost += score::extra_points(score.extra.into());
    lost += if score.reordered { score::ORDER } else { 0.0 };
    lost += if first.is_some_and(|first| first > 0) { score::START } else { 0.0 };
    score.total = -lost;
}
