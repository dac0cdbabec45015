//! What people read: the language of the terminal, and text that cannot move its cursor.

/// The language in which the command speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// English.
    English,
    /// Japanese.
    Japanese,
}

impl Speech {
    /// The language of the locale, as setlocale(3) finds it: `LC_ALL`, `LC_MESSAGES`, `LANG`.
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        match locale {
            Some(locale) if locale.starts_with("ja") => Self::Japanese,
            _ => Self::English,
        }
    }

    /// The one of two texts that is in this language.
    pub fn say<'a>(self, english: &'a str, japanese: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Japanese => japanese,
        }
    }
}

/// `text` without anything that a terminal would act on: what a telephone line or a file name holds
/// was written by strangers.
pub fn safe(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200E}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .flat_map(|c| {
            let (keep, escape) = if harmless(c) {
                (Some(c), None)
            } else {
                (None, Some(c.escape_unicode()))
            };
            keep.into_iter().chain(escape.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides() {
        let with = |set: &'static [(&str, &str)]| {
            Speech::of_environment(|name| {
                set.iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("LANG", "ja_JP.UTF-8")]), Speech::Japanese);
        assert_eq!(
            with(&[("LC_ALL", "C"), ("LANG", "ja_JP.UTF-8")]),
            Speech::English
        );
        assert_eq!(
            with(&[("LC_ALL", ""), ("LANG", "ja_JP.UTF-8")]),
            Speech::Japanese
        );
        assert_eq!(with(&[]), Speech::English);
    }

    #[test]
    fn escapes_do_not_reach_the_terminal() {
        assert_eq!(safe("a\u{1b}[2Jb\n口座"), "a\\u{1b}[2Jb\\u{a}口座");
        assert_eq!(safe("x\u{202E}y"), "x\\u{202e}y");
    }
}
