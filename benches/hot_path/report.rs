//! How figures are printed: nanoseconds per event.

use mallook_benches::stats::Samples;

use crate::rounds::Rounds;

/// One way to make one number of many samples.
pub struct Statistic {
    name: &'static str,
    of: fn(&Samples) -> f64,
}

/// The sample that 5 % lie below: what it costs when nothing disturbs.
pub const LOW: Statistic = Statistic { name: "5th pct", of: |samples| samples.percentile(5.0) };
/// The sample in the middle.
pub const MEDIAN: Statistic = Statistic { name: "median", of: Samples::median };
/// The mean: what it costs in all.
pub const MEAN: Statistic = Statistic { name: "mean", of: Samples::mean };

/// The three and the overhead, one number for each statistic.
fn numbers(rounds: &Rounds, statistics: &[Statistic]) -> [(&'static str, Vec<f64>); 4] {
    let of = |samples: &Samples| -> Vec<f64> {
        statistics.iter().map(|statistic| (statistic.of)(samples)).collect()
    };
    let [unhooked, hooked, floor] = [&rounds.unhooked, &rounds.hooked, &rounds.floor].map(of);
    let overhead = combine(&hooked, &unhooked, |hooked, unhooked| hooked - unhooked);
    [("unhooked", unhooked), ("hooked", hooked), ("floor", floor), ("overhead", overhead)]
}

fn combine(left: &[f64], right: &[f64], function: fn(f64, f64) -> f64) -> Vec<f64> {
    left.iter().zip(right).map(|(&left, &right)| function(left, right)).collect()
}

/// A row for each of the three, one for the overhead, one for the ratio.
pub fn table(rounds: &Rounds, ns_per_tick: f64, statistics: &[Statistic]) {
    header("ns per event", statistics);
    let rows = numbers(rounds, statistics);
    for (name, ticks) in &rows {
        row(name, ticks.iter().map(|ticks| ticks * ns_per_tick));
    }
    let [.., (_, floor), (_, overhead)] = &rows;
    row("overhead / floor", combine(overhead, floor, |overhead, floor| overhead / floor));
    row("the same, median of the rounds", [rounds.ratio().median()]);
}

/// The cost of rounds, in units of that of others.
pub fn comparison(rounds: &Rounds, others: &Rounds, statistics: &[Statistic]) {
    header("ratio", statistics);
    let rows = numbers(rounds, statistics);
    for ((name, these), (_, those)) in rows.iter().zip(numbers(others, statistics)) {
        row(name, combine(these, &those, |this, that| this / that));
    }
}

fn header(unit: &str, statistics: &[Statistic]) {
    print!("{unit:<32}");
    for statistic in statistics {
        print!("{:>10}", statistic.name);
    }
    println!();
}

fn row(name: &str, numbers: impl IntoIterator<Item = f64>) {
    print!("{name:<32}");
    for number in numbers {
        print!("{number:>10.2}");
    }
    println!();
}
