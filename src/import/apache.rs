//! The grammar of Apache httpd's configuration files: directives, and sections that hold more of them.

use super::ImportError;

/// A directive, or a section with what it holds.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Directive {
    /// In lower case: httpd looks at no case.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// Of a section alone.
    pub(super) inner: Vec<Self>,
}

impl Directive {
    /// The argument at `index`.
    pub(super) fn argument(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).map(String::as_str)
    }
}

/// The directives of a file.
pub(super) fn read(text: &str) -> Result<Vec<Directive>, ImportError> {
    // The sections that are open, outermost first; the file is the first one.
    let mut open = vec![Directive::default()];
    for (number, line) in logical_lines(text) {
        let wrong = |message: &str| ImportError::at(Some(number), message);
        if let Some(name) = line.strip_prefix("</") {
            let name = name.trim_end_matches('>').trim().to_ascii_lowercase();
            let closed = open.pop().filter(|section| section.name == name);
            let (Some(section), Some(outer)) = (closed, open.last_mut()) else {
                return Err(wrong("a section ends here that was not open"));
            };
            outer.inner.push(section);
        } else if let Some(header) = line.strip_prefix('<') {
            let header = header.strip_suffix('>').ok_or_else(|| wrong("a section starts here without a `>`"))?;
            open.push(directive(header));
        } else if let Some(section) = open.last_mut() {
            section.inner.push(directive(&line));
        }
    }
    match open.as_mut_slice() {
        [file] => Ok(std::mem::take(&mut file.inner)),
        _ => Err(ImportError::at(None, "a section is not ended")),
    }
}

/// Lines without comments, each with its number; a `\` at the end of one joins the next.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut joins = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let (content, more) = trimmed.strip_suffix('\\').map_or((trimmed, false), |content| (content, true));
        match lines.last_mut().filter(|_| joins) {
            Some((_, before)) => *before += content,
            None => lines.push((index + 1, content.to_owned())),
        }
        joins = more;
    }
    lines.retain(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
}

fn directive(line: &str) -> Directive {
    let mut words = words(line).into_iter();
    let name = words.next().unwrap_or_default().to_ascii_lowercase();
    Directive { name, arguments: words.collect(), inner: Vec::new() }
}

/// The words of a line; quotes of both kinds keep one together, and `\` keeps a quote.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let quote = Some(first).filter(|c| matches!(c, '"' | '\''));
        let mut word = String::new();
        let mut characters = rest[quote.map_or(0, char::len_utf8)..].chars();
        while let Some(character) = characters.next() {
            let is_end = quote.map_or_else(|| character.is_whitespace(), |quote| character == quote);
            match character {
                _ if is_end => break,
                '\\' if characters.as_str().starts_with(['"', '\'', '\\']) => word.extend(characters.next()),
                plain => word.push(plain),
            }
        }
        words.push(word);
        rest = characters.as_str().trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_and_sections_are_read() {
        let text = "# a comment\nServerName  paie.example\n<Location \"/a b\">\n  Require claim \\\n  'uid:it\\'s'\n\
                    </Location>\n<IfModule x>\n<If \"1\">\nA\n</If>\n</IfModule>\n";
        let file = read(text).unwrap();
        let names: Vec<&str> = file.iter().map(|directive| directive.name.as_str()).collect();
        assert_eq!(names, ["servername", "location", "ifmodule"]);
        assert_eq!(file[1].arguments, ["/a b"]);
        assert_eq!(file[1].inner[0].arguments, ["claim", "uid:it's"]);
        assert_eq!(file[2].inner[0].inner[0].name, "a");
    }

    #[test]
    fn sections_end_as_they_start() {
        for text in ["<Location /a>\n", "</Location>\n", "<A>\n<B>\n</A>\n</B>\n", "<Location /a\n"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
