//! Whether an emulated link is what was asked: round trips, losses, rates and queues through the kernel's sockets,
//! beside what they should be and how far off they may be.
//!
//! Tolerances are of two kinds: what the machine's own scheduling may add, and five deviations of what is left to
//! chance. A figure that nothing was promised about is shown and not judged. Round trips are taken up to three times.
#![allow(clippy::print_stdout, reason = "a table on standard output is what it is for")]

use super::measure::{Arrival, Plan, UDP_OVERHEAD, one_way, round_trips, transfer};
use super::model::Way;
use super::profile::{Direction, Link};
use super::{Counted, Emulation, Side};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

/// What to test.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A link to test, by name or numbers; may be given several times
    #[arg(long, value_name = "LINK", default_values = DEFAULT)]
    link: Vec<Link>,
    /// Gives the same losses and jitter again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A quarter of the packets and of the time, and the wider tolerances that go with it
    #[arg(long)]
    quick: bool,
    /// One JSON document instead of tables
    #[arg(long)]
    json: bool,
}

/// One that has everything, and one of each kind of trouble: fast, slow, far.
const DEFAULT: [&str; 4] = ["rtt=40ms,rate=50mbit,loss=1%,jitter=5ms", "fibre", "3g", "satellite"];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
enum Effort {
    Quick,
    Thorough,
}

impl Effort {
    fn of<T: std::ops::Div<u32, Output = T>>(self, thorough: T) -> T {
        match self {
            Effort::Quick => thorough / 4,
            Effort::Thorough => thorough,
        }
    }
}

/// A link and what was found.
#[derive(Debug, Serialize)]
struct Tested {
    link: Link,
    passed: bool,
    rows: Vec<Row>,
    counted: Counted,
}

/// A figure.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    unit: &'static str,
    asked: Option<f64>,
    measured: f64,
    /// The least and the most that pass; None: nothing was promised.
    least: Option<f64>,
    most: Option<f64>,
}

impl Row {
    fn passed(&self) -> bool {
        // Not a number is nothing measured, which passes no bound.
        self.least.is_none_or(|least| self.measured >= least) && self.most.is_none_or(|most| self.measured <= most)
    }
}

/// Tests every link; the exit code says whether all passed.
pub fn run(args: &Args) -> Result<ExitCode, String> {
    let effort = if args.quick { Effort::Quick } else { Effort::Thorough };
    let mut all = Vec::new();
    for link in &args.link {
        let tested = test(link, args.seed, effort)?;
        if !args.json {
            show(&tested);
        }
        all.push(tested);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?);
    }
    Ok(if all.iter().all(|tested| tested.passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn test(link: &Link, seed: u64, effort: Effort) -> Result<Tested, String> {
    let emulation = Emulation::start(link, seed).map_err(|error| error.to_string())?;
    let side = emulation.side();
    let mut rows = Vec::from(round_trip_rows(link, &side, effort)?);
    // A machine that stood still for a while made these late, not the link: a wrong link is wrong each time.
    for _ in 0..2 {
        if !rows.iter().all(Row::passed) {
            rows = Vec::from(round_trip_rows(link, &side, effort)?);
        }
    }
    for direction in [Direction::Down, Direction::Up] {
        rows.push(loss_row(link, &side, direction, effort)?);
    }
    // One direction after the other, so that neither takes the machine's time from the other.
    let is_limited = |direction: &Direction| link.rate_bps(*direction).is_some_and(|bps| bps <= FLOOD_BPS);
    let (limited, unlimited): (Vec<_>, Vec<_>) = [Direction::Down, Direction::Up].into_iter().partition(is_limited);
    for direction in limited {
        rows.extend(rate_rows(link, &side, direction, effort)?);
        rows.push(transfer_row(link, &side, direction, effort)?);
    }
    let counted = emulation.counted();
    rows.extend(own_rows(&counted));
    // Without a limit TCP takes all that the machine has, and then nobody is on time.
    for direction in unlimited {
        rows.push(transfer_row(link, &side, direction, effort)?);
    }
    Ok(Tested { link: link.clone(), passed: rows.iter().all(Row::passed), rows, counted })
}

/// What the kernel's timers and the wakening of threads may add to a round trip in the median, and at p99.
const WAKENING: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(3));

fn round_trip_rows(link: &Link, side: &Side, effort: Effort) -> Result<[Row; 3], String> {
    const LINES: u32 = 20;
    let (pings, payload) = (effort.of(400), 100);
    let plan = Plan {
        lines: 0..LINES,
        datagrams: pings,
        payload,
        burst: 0,
        // A line's jitter is drawn anew after as long as it is, and its last ping must be off the line. A machine that
        // stands still for a few milliseconds shall not hit one ping in a hundred.
        gap: (link.jitter.max(sending(link, payload)) * 2 / LINES).max(Duration::from_millis(4)),
        patience: link.rtt + link.jitter * 2 + Duration::from_millis(500),
    };
    let mut times: Vec<_> = round_trips(side, &plan)?.iter().map(|ping| ms(ping.arrived_at - ping.sent_at)).collect();
    times.sort_by(f64::total_cmp);
    let quantile = |share: f64| times.get(((times.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN);

    let bytes = payload as u64 + UDP_OVERHEAD;
    let sendings: Duration =
        [Direction::Down, Direction::Up].map(|way| Way::new(link, way).sending(bytes)).iter().sum();
    let (base, jitter) = (ms(link.rtt + sendings), ms(link.jitter));
    // The sum of two uniform jitters has its median at one jitter, where its density is 1 / jitter: a median of n has
    // a deviation of jitter / (2 sqrt n). At its end the density falls to nothing; p99 is at 1.859 jitters.
    let chance = 5.0 * jitter / (2.0 * f64::from(pings).sqrt());
    let row = |what: &str, asked, measured, least, most| Row {
        what: format!("round trip {what}"),
        unit: "ms",
        asked: Some(asked),
        measured,
        least: Some(least),
        most: Some(most),
    };
    let (p50, p99) = (base + jitter, base + 1.859 * jitter);
    Ok([
        row("least", base, quantile(0.0), base, base + 0.3 * jitter + ms(WAKENING.0)),
        row("p50", p50, quantile(0.5), p50 - chance, p50 + chance + ms(WAKENING.0)),
        row("p99", p99, quantile(0.99), base + 1.5 * jitter, base + 2.0 * jitter + ms(WAKENING.1)),
    ])
}

fn loss_row(link: &Link, side: &Side, direction: Direction, effort: Effort) -> Result<Row, String> {
    const LINES: u32 = 200;
    let payload = 20;
    // Many short lines instead of a long one: a slow link is tested as fast as others. Where nothing is to be lost,
    // fewer are enough, since every one counts.
    let each_line_every = (sending(link, payload) * 11 / 10).max(Duration::from_micros(20) * LINES);
    let wanted = effort.of(if link.loss > 0.0 { 200 } else { 20 });
    let rounds = (Duration::from_secs(3).as_nanos() / each_line_every.as_nanos()).clamp(1, wanted.into()) as u32;
    let plan = Plan {
        lines: 100..100 + LINES,
        datagrams: rounds * LINES,
        payload,
        burst: 0,
        gap: each_line_every / LINES,
        patience: link.rtt / 2 + link.jitter + Duration::from_millis(500),
    };
    let arrived = one_way(side, direction, &plan)?.len() as f64;
    let sent = f64::from(plan.datagrams);
    let chance = 5.0 * loss_deviation(link, sent);
    Ok(Row {
        what: format!("loss {}", word(direction)),
        unit: "%",
        asked: Some(100.0 * link.loss),
        measured: 100.0 * (1.0 - arrived / sent),
        least: Some(100.0 * (link.loss - chance)),
        most: Some(100.0 * (link.loss + chance)),
    })
}

/// The deviation of a share of losses among so many packets. Bursts make neighbours alike, by the difference of the
/// chances after a loss and after an arrival.
fn loss_deviation(link: &Link, packets: f64) -> f64 {
    let alike = link.burst.map_or(0.0, |burst| 1.0 - 1.0 / burst - link.loss / (burst * (1.0 - link.loss)));
    (link.loss * (1.0 - link.loss) / packets * (1.0 + alike) / (1.0 - alike)).sqrt()
}

/// What this test can send over one line: 42,000 packets a second.
const FLOOD_BPS: u64 = 500_000_000;

fn rate_rows(link: &Link, side: &Side, direction: Direction, effort: Effort) -> Result<Vec<Row>, String> {
    let Some(bps) = link.rate_bps(direction) else { return Ok(Vec::new()) };
    let (way, payload) = (Way::new(link, direction), 1_500 - UDP_OVERHEAD as usize);
    let (packet, queue_bytes) = (way.sending(1_500), link.queue_bytes(direction));
    let full = way.sending(queue_bytes);
    // The queue is filled at once and kept full by a tenth more than the rate, for so long that one jitter and one
    // packet are small beside it.
    let lasting = (link.jitter * 100).max(packet * 50).max(effort.of(Duration::from_secs(1)));
    let burst = (queue_bytes / 1_500 + 1) as u32;
    let paced = (lasting.as_secs_f64() / packet.as_secs_f64() * 1.1) as u32;
    let line = 400 + direction as u32;
    let plan = Plan {
        lines: line..line + 1,
        datagrams: burst + paced,
        payload,
        burst,
        gap: packet * 10 / 11,
        patience: link.rtt / 2 + link.jitter + full + Duration::from_millis(500),
    };
    let arrivals = one_way(side, direction, &plan)?;
    let [first, .., last] = &arrivals[..] else {
        return Err(format!("{link}: nothing arrived of a flood {direction:?}"));
    };

    let seconds = (last.arrived_at - first.arrived_at).as_secs_f64();
    // Lost packets used the rate as others did.
    let count = (arrivals.len() - 1) as f64 / (1.0 - link.loss);
    let mbit = count * 1_500.0 * 8.0 / seconds / 1e6;
    let asked = bps as f64 / 1e6;
    let off = 0.01 + 5.0 * loss_deviation(link, count) + (link.jitter + WAKENING.1).as_secs_f64() / seconds;
    let rate = Row {
        what: format!("rate {}", word(direction)),
        unit: "Mbit/s",
        asked: Some(asked),
        measured: mbit,
        least: Some(asked * (1.0 - off)),
        most: Some(asked * (1.0 + off)),
    };

    let delay = link.rtt / 2 + link.jitter / 2;
    let asked = ms(full);
    // A packet less or more may fit, and the jitters of a short flood are few.
    let off = ms(packet * 2) + 0.02 * asked + 0.5 * ms(link.jitter) + ms(WAKENING.0);
    let queue = Row {
        what: format!("full queue {}", word(direction)),
        unit: "ms",
        asked: Some(asked),
        measured: median_delay(&arrivals[arrivals.len() / 2..]) - ms(delay),
        least: Some(asked - off),
        most: Some(asked + off),
    };
    Ok(vec![rate, queue])
}

fn median_delay(arrivals: &[Arrival]) -> f64 {
    let mut delays: Vec<_> = arrivals.iter().map(|one| ms(one.arrived_at - one.sent_at)).collect();
    delays.sort_by(f64::total_cmp);
    delays[delays.len() / 2]
}

fn transfer_row(link: &Link, side: &Side, direction: Direction, effort: Effort) -> Result<Row, String> {
    // Slow start and its end are over after some round trips; then the window.
    let opens = (link.rtt * 6).max(effort.of(Duration::from_millis(500)));
    let way = Way::new(link, direction);
    let window = effort.of(Duration::from_millis(1_500)).max(way.sending(1_500) * 50);
    let bytes_s = transfer(side, direction, 410 + direction as u32, opens, window)?;
    // Of 1,500 bytes, 52 are headers: IPv4, TCP and its timestamps.
    let most = link.rate_bps(direction).map(|bps| bps as f64 / 1e6 * 1_448.0 / 1_500.0);
    // How much of a lossy line TCP uses is up to TCP, which also holds back what comes behind a loss and gives it out
    // at once; of a fast line, up to the machine.
    let promised =
        link.loss == 0.0 && link.jitter * 4 <= link.rtt && link.rate_bps(direction).is_some_and(|bps| bps <= FLOOD_BPS);
    Ok(Row {
        what: format!("one TCP {}", word(direction)),
        unit: "Mbit/s",
        asked: most,
        measured: bytes_s * 8.0 / 1e6,
        least: most.filter(|_| promised).map(|most| most * 0.8),
        // What waited in the kernel at the beginning of the window is read in it.
        most: most.filter(|_| promised).map(|most| most * 1.03),
    })
}

/// What the emulation did wrong by itself.
fn own_rows(counted: &Counted) -> [Row; 5] {
    let dropped = |passed: &super::Passed| passed.kernel_dropped + passed.overflow;
    let late = |what: &str, late_us: f64, most_ms: f64| Row {
        what: format!("emulator late {what}"),
        unit: "ms",
        asked: Some(0.0),
        measured: late_us / 1e3,
        least: None,
        most: Some(most_ms),
    };
    let Counted { down, up } = counted;
    let drops = Row {
        what: "dropped by the machine".into(),
        unit: "packets",
        asked: Some(0.0),
        measured: (dropped(down) + dropped(up)) as f64,
        least: None,
        most: Some(0.0),
    };
    let (median, worst) = (0.2, 1.0);
    [
        late("down p50", down.late.p50_us, median),
        late("down p99", down.late.p99_us, worst),
        late("up p50", up.late.p50_us, median),
        late("up p99", up.late.p99_us, worst),
        drops,
    ]
}

fn show(tested: &Tested) {
    println!("link {}", tested.link);
    println!("  {:<24} {:>10} {:>10}  {:<21} ", "", "asked", "measured", "passes");
    for row in &tested.rows {
        let number = |number: Option<f64>| number.map_or("-".to_owned(), |number| format!("{number:.3}"));
        let passes = match (row.least, row.most) {
            (None, None) => "-".to_owned(),
            (least, most) => format!("{} to {}", number(least), number(most)),
        };
        let verdict = match (row.passed(), row.least.or(row.most)) {
            (_, None) => "",
            (true, _) => "ok",
            (false, _) => "FAILED",
        };
        let (asked, measured) = (number(row.asked), number(Some(row.measured)));
        println!("  {:<24} {asked:>10} {measured:>10}  {passes:<21} {:<8}{verdict}", row.what, row.unit);
    }
    println!("  {}\n", if tested.passed { "is what was asked" } else { "is NOT what was asked" });
}

/// How long a datagram takes on the slower direction.
fn sending(link: &Link, payload: usize) -> Duration {
    let bytes = payload as u64 + UDP_OVERHEAD;
    [Direction::Down, Direction::Up].map(|way| Way::new(link, way).sending(bytes)).into_iter().max().unwrap_or_default()
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Down => "down",
        Direction::Up => "up",
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(measured: f64, least: Option<f64>, most: Option<f64>) -> Row {
        Row { what: "x".into(), unit: "ms", asked: None, measured, least, most }
    }

    #[test]
    fn a_figure_passes_between_its_bounds_and_nothing_measured_passes_none() {
        assert!(row(2.0, Some(2.0), Some(2.0)).passed() && row(9.0, None, None).passed());
        assert!(!row(1.0, Some(2.0), None).passed() && !row(3.0, None, Some(2.0)).passed());
        assert!(!row(f64::NAN, Some(0.0), None).passed());
    }

    #[test]
    fn a_link_is_what_was_asked() {
        if !super::super::needs_root() {
            return;
        }
        // Given a short link, when it is measured while other tests use the machine, then the figures that do not
        // depend on the machine's leisure are as asked.
        let link = "rtt=10ms,rate=20mbit,loss=5%,queue=40k".parse().unwrap();
        let tested = test(&link, 1, Effort::Quick).unwrap();
        let leisurely = |row: &&Row| !row.what.starts_with("emulator") && !row.what.ends_with("p99");
        let failed: Vec<_> = tested.rows.iter().filter(leisurely).filter(|row| !row.passed()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        assert!(tested.rows.len() >= 12);
    }
}
