//! The row of a resource in a plan or a status, fitted to the terminal: an id that a terminal breaks cannot be copied.

use unicode_width::UnicodeWidthStr;

/// The width of the column of types.
const TYPE_WIDTH: usize = 32;

/// What begins the line of an id that does not fit beside its resource.
const INDENT: &str = "      ";

/// A resource's row. All texts are safe to print.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its mark and label, padded, without colours.
    pub label: String,
    pub type_name: &'a str,
    /// Its state, padded; empty where there is none.
    pub state: String,
    /// Its physical id; may be empty.
    pub id: String,
}

impl Row<'_> {
    /// Whether the row fits into `columns` with its type.
    pub fn fits(&self, columns: usize) -> bool {
        self.text(true, usize::MAX).width() <= columns
    }

    /// The row; an id that does not fit into `columns` is in a line of its own. Rows above each other all have their types,
    /// or none.
    pub fn text(&self, with_type: bool, columns: usize) -> String {
        let type_name = if with_type { format!("{:TYPE_WIDTH$}", self.type_name) } else { String::new() };
        let cells: Vec<&str> = [&self.label, &type_name, &self.state]
            .into_iter()
            .map(String::as_str)
            .filter(|cell| !cell.is_empty())
            .collect();
        let line = cells.join("  ");
        let whole = format!("{line}  {}", self.id);
        match self.id.is_empty() || whole.trim_end().width() <= columns {
            true => whole.trim_end().to_owned(),
            false => format!("{}\n{INDENT}{}", line.trim_end(), self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_fit_loses_its_type_first() {
        let row = Row {
            label: "  + Connect    ".to_owned(),
            type_name: "AWS::Lambda::Function",
            state: String::new(),
            id: "chat-Connect-9c795b73".to_owned(),
        };
        assert_eq!(row.text(true, 80), "  + Connect      AWS::Lambda::Function             chat-Connect-9c795b73");
        assert!(row.fits(72) && !row.fits(71));
        assert_eq!(row.text(false, 60), "  + Connect      chat-Connect-9c795b73");
        assert_eq!(row.text(false, 30), "  + Connect\n      chat-Connect-9c795b73");
        let row = Row { id: String::new(), state: "missing   ".to_owned(), ..row };
        assert_eq!(row.text(false, 10), "  + Connect      missing");
    }
}
