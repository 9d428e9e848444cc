//! Tables people like to read: columns, two spaces, no borders.

use capsule_core::Result;
use unicode_width::UnicodeWidthStr;

/// Rows under a header. The last column is not padded.
#[derive(Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// Columns whose header starts with `>`: numbers stand right.
    right: Vec<bool>,
}

impl Table {
    /// A table with these columns; `>NAME` is aligned right.
    pub fn new(header: &[&'static str]) -> Self {
        let right = header.iter().map(|name| name.starts_with('>')).collect();
        Table { header: header.iter().map(|name| name.trim_start_matches('>')).collect(), rows: Vec::new(), right }
    }

    /// Adds a row: a cell a column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.header.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// The table as text.
    pub fn render(&self, bold: bool) -> String {
        let mut widths: Vec<usize> = self.header.iter().map(|name| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let mut text = String::with_capacity((self.rows.len() + 1) * (widths.iter().sum::<usize>() + widths.len() * 2));
        if bold {
            text.push_str("\x1b[1m");
        }
        self.line(&mut text, &widths, self.header.iter().copied());
        if bold {
            text.pop();
            text.push_str("\x1b[0m\n");
        }
        for row in &self.rows {
            self.line(&mut text, &widths, row.iter().map(String::as_str));
        }
        text
    }

    fn line<'a>(&self, text: &mut String, widths: &[usize], cells: impl Iterator<Item = &'a str>) {
        let start = text.len();
        for (column, cell) in cells.enumerate() {
            if column > 0 {
                text.push_str("  ");
            }
            let padding = std::iter::repeat_n(' ', widths[column].saturating_sub(cell.width()));
            if self.right[column] {
                text.extend(padding);
                text.push_str(cell);
            } else {
                text.push_str(cell);
                text.extend(padding);
            }
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }

    /// Prints it on stdout.
    ///
    /// # Errors
    /// As [`super::text`].
    pub fn print(&self) -> Result<()> {
        super::text(&self.render(super::colour()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["NAME", ">PRICE", "REGION"]);
        table.row(["wéb".into(), "5.00".into(), "nyc1".into()]);
        table.row(["database".into(), "120.00".into(), "".into()]);
        assert_eq!(table.render(false), "NAME       PRICE  REGION\nwéb         5.00  nyc1\ndatabase  120.00\n");
    }
}
