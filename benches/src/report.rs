//! Tables.

use core::fmt::Write as _;

use crate::measure::Sample;
use crate::peers::Peer;
use crate::scenario::Scenario;

/// The peers whose cost the others' is divided by.
const BASES: [Peer; 2] = [Peer::Socketioxide, Peer::Floor];

/// One peer's samples in one scenario; `None` is one that failed.
#[derive(Clone, Debug)]
pub struct Row {
    /// The peer.
    pub peer: String,
    /// Whether replies in another order than the requests are a fault.
    pub strict: bool,
    /// One for each repeat.
    pub samples: Vec<Option<Sample>>,
}

impl Row {
    fn good(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().flatten()
    }

    fn median(&self, value: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.good().map(value).collect())
    }

    /// The median of the ratios, each of two samples that were taken one after the other.
    fn ratio(&self, base: &Self) -> Option<f64> {
        let pairs = self.samples.iter().zip(&base.samples);
        median(pairs.filter_map(|pair| Some(pair.0.as_ref()?.micros() / pair.1.as_ref()?.micros())).collect())
    }

    /// The distance of the extremes from each other, as a share of the median.
    fn spread(&self) -> Option<f64> {
        let micros = || self.good().map(Sample::micros);
        let distance = micros().fold(f64::MIN, f64::max) - micros().fold(f64::MAX, f64::min);
        Some(distance / self.median(Sample::micros)?)
    }

    fn reordered(&self) -> u64 {
        self.good().map(|sample| sample.reordered).sum()
    }

    /// Whether every sample succeeded, and in order if that was promised.
    fn is_clean(&self) -> bool {
        self.samples.iter().all(Option::is_some) && !(self.strict && self.reordered() > 0)
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    Some(if values.len() % 2 == 1 { *upper } else { f64::midpoint(*upper, values[middle - 1]) })
}

/// What a run has found.
#[derive(Debug, Default)]
pub struct Report {
    markdown: bool,
    groups: Vec<(Scenario, Vec<Row>)>,
}

impl Report {
    /// A report without results.
    #[must_use]
    pub const fn new(markdown: bool) -> Self {
        Self { markdown, groups: Vec::new() }
    }

    /// Adds a scenario, and prints its table.
    pub fn add(&mut self, scenario: Scenario, rows: Vec<Row>) {
        println!("{}", self.detail(scenario, &rows));
        self.groups.push((scenario, rows));
    }

    /// Prints the table of all scenarios.
    pub fn finish(&self) {
        println!("{}", self.summary());
    }

    /// Whether every sample succeeded.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.groups.iter().all(|(_, rows)| rows.iter().all(Row::is_clean))
    }

    fn detail(&self, scenario: Scenario, rows: &[Row]) -> String {
        let mut table = Table::new(&[scenario.name, "us/message", "spread"]);
        for base in BASES {
            table.head(format!("x {}", base.name()));
        }
        for name in
            ["messages", "server core", "generator core", "threads", "reordered", "KiB/connection", "failed"]
        {
            table.head(name.to_owned());
        }
        for row in rows {
            let mut cells = vec![row.peer.clone(), number(row.median(Sample::micros)), percent(row.spread())];
            for base in BASES {
                let base = rows.iter().find(|other| other.peer == base.name());
                cells.push(ratio(base.and_then(|base| row.ratio(base))));
            }
            cells.push(row.good().map(|sample| sample.messages).sum::<u64>().to_string());
            cells.push(percent(row.median(Sample::server_share)));
            cells.push(percent(row.median(Sample::generator_share)));
            cells.push(row.good().map(|sample| sample.threads).max().unwrap_or_default().to_string());
            cells.push(row.reordered().to_string());
            cells.push(number(median(row.good().filter_map(|sample| sample.memory).collect())));
            cells.push(row.samples.iter().filter(|sample| sample.is_none()).count().to_string());
            table.row(cells);
        }
        table.print(self.markdown)
    }

    fn summary(&self) -> String {
        let mut peers: Vec<&str> = Vec::new();
        for row in self.groups.iter().flat_map(|(_, rows)| rows) {
            if !peers.contains(&row.peer.as_str()) {
                peers.push(&row.peer);
            }
        }
        let mut table = Table::new(&["scenario"]);
        for peer in &peers {
            table.head(format!("{peer} us"));
        }
        for base in BASES.iter().filter(|base| peers.contains(&base.name())) {
            for peer in peers.iter().filter(|&&peer| peer != base.name()) {
                table.head(format!("{peer}/{}", base.name()));
            }
        }
        for (scenario, rows) in &self.groups {
            let row = |name: &str| rows.iter().find(|row| row.peer == name);
            let mut cells = vec![scenario.name.to_owned()];
            for peer in &peers {
                cells.push(number(row(peer).and_then(|row| row.median(Sample::micros))));
            }
            for base in BASES.iter().filter(|base| peers.contains(&base.name())) {
                for peer in peers.iter().filter(|&&peer| peer != base.name()) {
                    let pair = row(peer).zip(row(base.name()));
                    cells.push(ratio(pair.and_then(|(row, base)| row.ratio(base))));
                }
            }
            table.row(cells);
        }
        table.print(self.markdown)
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| if value < 100.0 { format!("{value:.2}") } else { format!("{value:.0}") },
    )
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.0} %", value * 100.0))
}

/// A table of text, its first column aligned to the left and the others to the right.
#[derive(Debug)]
pub struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(head: &[&str]) -> Self {
        Self { lines: vec![head.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a column.
    pub fn head(&mut self, name: String) {
        self.lines[0].push(name);
    }

    /// Adds a line.
    pub fn row(&mut self, cells: Vec<String>) {
        self.lines.push(cells);
    }

    /// The table as text: for a terminal, or for a document.
    #[must_use]
    pub fn print(&self, markdown: bool) -> String {
        let columns = self.lines[0].len();
        let cell = |line: &Vec<String>, column: usize| line.get(column).map_or(0, String::len);
        let width = |column| self.lines.iter().map(|line| cell(line, column)).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        let gap = if markdown { " " } else { "  " };
        for (i, line) in self.lines.iter().enumerate() {
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                let edge = if markdown { "| " } else { "" };
                let written = if column == 0 {
                    write!(text, "{edge}{cell:<width$} ")
                } else {
                    write!(text, "{edge}{cell:>width$}{gap}")
                };
                written.expect("writing to a string");
            }
            text.push_str(if markdown { "|\n" } else { "\n" });
            if markdown && i == 0 {
                text.push_str("|---|");
                text.push_str(&"---:|".repeat(columns - 1));
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn tables() {
        let mut table = Table::new(&["a", "long"]);
        table.row(vec!["name".to_owned(), "1".to_owned()]);
        assert_eq!(table.print(false), "a    long  \nname    1  \n");
        assert_eq!(table.print(true), "| a    | long |\n|---|---:|\n| name |    1 |\n");
    }
}
