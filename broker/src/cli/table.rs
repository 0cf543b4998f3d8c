//! A table for people: columns as wide as what stands in them, numbers to the right.

use std::io::{self, Write};

/// A table under way.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// Columns whose cells stand at the right.
    right: Vec<bool>,
}

impl Table {
    /// A table with a head; a title that begins with `>` heads numbers.
    pub fn new(titles: &[&str]) -> Self {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let head = titles.iter().map(|title| title.trim_start_matches('>').to_owned());
        Self { rows: vec![head.collect()], right }
    }

    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it, every line behind an indent.
    pub fn write(&self, indent: &str, out: &mut impl Write) -> io::Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).zip(&self.right).map(|((cell, width), right)| {
                if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(out, "{indent}{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns would not stand under their titles.
    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(&["NAME", ">RECORDS", "NOTE"]);
        table.row(["a".to_owned(), "7".to_owned(), String::new()]);
        table.row(["längst".to_owned(), "12,345".to_owned(), "x".to_owned()]);
        let mut out = Vec::new();
        table.write("  ", &mut out).unwrap();
        let expected = "  NAME    RECORDS  NOTE\n  a             7\n  längst   12,345  x\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
