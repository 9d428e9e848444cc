//! Comma-separated values as RFC 4180 has them, but with the line ends of this system.

/// A table of text.
#[derive(Debug)]
pub struct Csv(String);

impl Csv {
    /// A table with these columns.
    pub fn new(header: &[&str]) -> Self {
        let mut csv = Csv(String::new());
        csv.row(header.iter().map(|name| (*name).to_owned()));
        csv
    }

    /// Adds a row: a cell a column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        for (column, cell) in cells.into_iter().enumerate() {
            if column > 0 {
                self.0.push(',');
            }
            if cell.contains(['"', ',', '\n', '\r']) {
                self.0.push('"');
                self.0.push_str(&cell.replace('"', "\"\""));
                self.0.push('"');
            } else {
                self.0.push_str(&cell);
            }
        }
        self.0.push('\n');
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Csv;

    #[test]
    fn what_would_end_a_cell_is_quoted() {
        let mut csv = Csv::new(&["a", "b"]);
        csv.row(["plain".to_owned(), "say \"hi\", then\nleave".to_owned()]);
        assert_eq!(csv.text(), "a,b\nplain,\"say \"\"hi\"\", then\nleave\"\n");
    }
}
