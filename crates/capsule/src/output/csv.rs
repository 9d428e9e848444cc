//! Comma-separated values as RFC 4180 has them, but with the line ends of this system.

/// A table of text.
#[derive(Debug)]
pub struct Csv(csv::Writer<Vec<u8>>);

impl Csv {
    /// A table with these columns.
    pub fn new<'a>(header: impl IntoIterator<Item = &'a str>) -> Self {
        // A row may end early, where nothing follows.
        let mut csv = Csv(csv::WriterBuilder::new().flexible(true).from_writer(Vec::new()));
        csv.row(header.into_iter().map(str::to_owned));
        csv
    }

    /// Adds a row: a cell a column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.write_record(cells.into_iter().map(String::into_bytes)).expect("memory takes all that is written");
    }

    /// The file's text.
    pub fn text(self) -> String {
        let bytes = self.0.into_inner().expect("memory takes all that is written");
        String::from_utf8(bytes).expect("it was written as text")
    }
}

#[cfg(test)]
mod tests {
    use super::Csv;

    #[test]
    fn what_would_end_a_cell_is_quoted() {
        let mut csv = Csv::new(["a", "b"]);
        csv.row(["plain".to_owned(), "say \"hi\", then\nleave".to_owned()]);
        assert_eq!(csv.text(), "a,b\nplain,\"say \"\"hi\"\", then\nleave\"\n");
    }
}
