//! Figures as a table of Markdown.

/// A title, the line of columns, and a line for each row; none where nothing was measured.
pub(crate) fn table(title: &str, columns: &str, rows: impl IntoIterator<Item = String>) -> Option<String> {
    let rows: Vec<String> = rows.into_iter().collect();
    let rule = columns.split('|').skip(2).map(|_| "---|").collect::<String>();
    (!rows.is_empty()).then(|| format!("{title}\n\n{columns}\n|{rule}\n{}\n", rows.join("\n")))
}
